import type { Logger } from 'pino'

export type KubeletLog = Pick<Logger, 'debug' | 'info' | 'warn'>

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
