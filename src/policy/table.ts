// What the kernel should hold for policies, as plain values: the sets, maps and chains of one nftables table.
import { hash } from 'node:crypto'
import { ourNftTable } from '../kernel/kernel.ts'
import type { Family } from '../net/address.ts'

export const policyTable = `inet ${ourNftTable}`

export interface PolicyTable {
  readonly sets: ReadonlyMap<string, TableSet>
  readonly chains: ReadonlyMap<string, TableChain>
}

export interface TableSet {
  readonly kind: 'set' | 'map'
  /**
   * Key, flags and comment, as nft takes them; under one name always the same. The key is a `typeof`: nft 1.1 stores a
   * `type` with the set in a form on which nft 1.0.6 crashes, in whatever table of the node it stands (docs/adr/0030).
   */
  readonly declaration: string
  /** Element -> the verdict that a map has for it, '' in a set. The very same object until one of them changes. */
  readonly elements: ReadonlyMap<string, string>
}

export interface TableChain {
  /** Hook and policy of a base chain, or a comment. Under one name it is always the same. */
  readonly declaration: string
  readonly rules: readonly string[]
}

export const noElements: ReadonlyMap<string, string> = new Map()

/** @returns what a set of addresses is keyed by, after `typeof`: which end of the packet it names makes no difference */
export function addressKey(family: Family): string {
  return family === 4 ? 'ip saddr' : 'ip6 saddr'
}

/** A name by content: what is in use under it never has to change. */
export function contentName(kind: string, content: string): string {
  return `${kind}-${hash('sha256', content).slice(0, 20)}`
}

/** `comment "..."` for people who list the table: nft takes 128 bytes, and a quote would end it. */
export function comment(text: string): string {
  return `comment "${plain(text, 100)}"`
}

/** Text that can stand between quotes, so long at most. */
export function plain(text: string, longest: number): string {
  const safe = text.replaceAll(/[^\w .,:=!()/-]/g, '?')
  return safe.length > longest ? `${safe.slice(0, longest - 3)}...` : safe
}
