// A column of the table of a resource.
import type { KubeObject } from '../kube-object.ts'

export type Cell = string | number

export interface Column {
  readonly name: string
  readonly type: 'string' | 'integer'
  /** 0: always shown; 1: only with `-o wide`. */
  readonly priority: 0 | 1
  readonly cell: (object: KubeObject, now: number) => Cell
}

export function column(name: string, cell: (object: KubeObject, now: number) => string): Column {
  return { name, type: 'string', priority: 0, cell }
}

export function counted(name: string, cell: (object: KubeObject) => number): Column {
  return { name, type: 'integer', priority: 0, cell }
}

export function wide(name: string, cell: (object: KubeObject, now: number) => string): Column {
  return { name, type: 'string', priority: 1, cell }
}
