// The agent's log: JSON, a line an event, on stderr.
import { type Logger, pino } from 'pino'
import type { AgentConfig } from './config.ts'

export function openLog({ logLevel, nodeName }: Pick<AgentConfig, 'logLevel' | 'nodeName'>): Logger {
  // pino asks who calls it, for transports, of which we have none. With source maps the answer costs the parsing of
  // ours: 0.1 s of each start.
  const mapped = process.sourceMapsEnabled
  process.setSourceMapsEnabled(false)
  try {
    return pino({ level: logLevel, base: { node: nodeName } }, pino.destination({ fd: 2, sync: true }))
  } finally {
    process.setSourceMapsEnabled(mapped)
  }
}
