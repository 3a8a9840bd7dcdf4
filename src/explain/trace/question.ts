// The questions of a trace to the kernel and to the agent. The walk is pure: it yields questions one by one, because
// each depends on the answers before it. The edge (live-state.ts) answers from the live kernel, unit tests from
// recorded tool output (ADR 26).
import type { Found } from '../../agent/lookup-shape.ts'
import type { IptablesTable } from '../../iptables/iptables.ts'
import type { NftObject } from '../../kernel/nftables.ts'
import type { FdbEntry, Link, Neighbour } from '../../kernel/observed.ts'
import type { Listener, ListenersQuestion } from '../../kernel/read-listeners.ts'
import type { RouteAnswer, RouteQuestion } from '../../kernel/route-lookup.ts'
import type { Address, Family } from '../../net/address.ts'

interface Questions {
  route: { question: RouteQuestion; answer: RouteAnswer }
  /** The lines that `iptables -S CHAIN` prints, by chain; without the chains that do not exist. */
  chains: {
    question: { readonly family: Family; readonly table: IptablesTable; readonly names: readonly string[] }
    answer: ReadonlyMap<string, readonly string[]>
  }
  links: { question: object; answer: readonly Link[] }
  /** Undefined when this process cannot enter the namespace. */
  linksIn: { question: { readonly netns: string }; answer: readonly Link[] | undefined }
  /** Undefined when the device does not exist. */
  neighbours: {
    question: { readonly family: Family; readonly device: string }
    answer: readonly Neighbour[] | undefined
  }
  /** Undefined when the device does not exist. */
  fdb: { question: { readonly device: string }; answer: readonly FdbEntry[] | undefined }
  /** Undefined when the sockets cannot be listed. */
  listeners: { question: ListenersQuestion; answer: readonly Listener[] | undefined }
  /** Undefined when the table does not exist. */
  nftTable: { question: { readonly name: string }; answer: readonly NftObject[] | undefined }
  /** Undefined when the kernel has no such key. */
  sysctl: { question: { readonly key: string }; answer: string | undefined }
  /** The pods, Services and nodes with these addresses; an empty list when the agent does not answer. */
  lookup: { question: { readonly of: readonly Address[] }; answer: readonly Found[] }
}

export type TraceQuestion = {
  [Kind in keyof Questions]: { readonly kind: Kind } & Questions[Kind]['question']
}[keyof Questions]
export type TraceAnswer = Questions[keyof Questions]['answer']
export type AnswerTo<Kind extends keyof Questions> = Questions[Kind]['answer']

/** A part of the walk: a generator that yields questions and receives their answers. */
export type TraceWalk<T> = Generator<TraceQuestion, T, TraceAnswer>

/** Yields one question and returns its answer. */
export function* ask<Kind extends keyof Questions>(
  kind: Kind,
  question: Questions[Kind]['question'],
): TraceWalk<AnswerTo<Kind>> {
  // The driver of the walk answers the question that it received, so the answer has the type of its kind.
  return yield { kind, ...question } as TraceQuestion
}
