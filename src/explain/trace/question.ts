// What a trace asks of the kernel and of the agent. The walk itself is pure: it asks as it goes, since what the next
// question is depends on the last answer. The edge (answer.ts) answers from the kernel as it is, tests from what tools
// have printed.
import type { Found } from '../../agent/lookup-shape.ts'
import type { IptablesTable } from '../../iptables/iptables.ts'
import type { NftObject } from '../../kernel/nftables.ts'
import type { FdbEntry, Link, Neighbour } from '../../kernel/observed.ts'
import type { Listener, ListenersQuestion } from '../../kernel/read-listeners.ts'
import type { RouteAnswer, RouteQuestion } from '../../kernel/route-lookup.ts'
import type { Address, Family } from '../../net/address.ts'

interface Asked {
  route: { question: RouteQuestion; answer: RouteAnswer }
  /** Each as `iptables -S CHAIN` prints it; those that are not there are left out. */
  chains: {
    question: { readonly family: Family; readonly table: IptablesTable; readonly names: readonly string[] }
    answer: ReadonlyMap<string, readonly string[]>
  }
  links: { question: object; answer: readonly Link[] }
  /** Undefined where the namespace cannot be entered from here. */
  linksIn: { question: { readonly netns: string }; answer: readonly Link[] | undefined }
  /** Undefined where there is no such device. */
  neighbours: {
    question: { readonly family: Family; readonly device: string }
    answer: readonly Neighbour[] | undefined
  }
  fdb: { question: { readonly device: string }; answer: readonly FdbEntry[] | undefined }
  /** Undefined where nobody can tell. */
  listeners: { question: ListenersQuestion; answer: readonly Listener[] | undefined }
  /** Undefined where there is none. */
  nftTable: { question: { readonly name: string }; answer: readonly NftObject[] | undefined }
  /** Undefined where the kernel has no such key. */
  sysctl: { question: { readonly key: string }; answer: string | undefined }
  /** Who has these addresses; nobody where the agent does not answer. */
  lookup: { question: { readonly of: readonly Address[] }; answer: readonly Found[] }
}

export type Question = { [Kind in keyof Asked]: { readonly kind: Kind } & Asked[Kind]['question'] }[keyof Asked]
export type Answer = Asked[keyof Asked]['answer']
export type AnswerTo<Kind extends keyof Asked> = Asked[Kind]['answer']

/** A part of the walk: it yields questions and is given their answers. */
export type Walk<T> = Generator<Question, T, Answer>

export function* ask<Kind extends keyof Asked>(kind: Kind, question: Asked[Kind]['question']): Walk<AnswerTo<Kind>> {
  // Whoever drives the walk answers the question that was asked.
  return yield { kind, ...question } as Question
}
