import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { publishGauges } from './gauges.ts'
import { Metrics } from '../runtime/metrics.ts'
import { ProxyMetrics, type ProxySources } from './proxy-metrics.ts'
import type { Sources } from './sources.ts'

/** What prom-client tells of a metric before anything is measured. */
interface Registered {
  readonly name: string
  readonly labelNames: readonly string[]
}

test('docs/operations.md has a row for each metric, with its labels', () => {
  const metrics = new Metrics()
  // Sources are read at a scrape, which there is none of.
  new ProxyMetrics(metrics).publish({} as ProxySources)
  publishGauges(metrics, {} as Sources)
  const registered = (metrics.registry.getMetricsAsArray() as unknown as Registered[]).filter(
    ({ name }) => !/^(process|nodejs)_/.test(name),
  )
  expect(registered.length).toBeGreaterThan(30)
  const page = readFileSync(`${import.meta.dirname}/../../docs/operations.md`, 'utf8')
  const missing = registered
    .map(({ name, labelNames }) => `| \`${name}\` | ${labelNames.join(', ')}`.trimEnd())
    .filter((row) => !page.includes(`${row} | `))
  expect(missing).toEqual([])
})
