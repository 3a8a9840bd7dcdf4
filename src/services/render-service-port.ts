// Everything of one service port, so that a change of one Service or slice re-renders that port alone.
import { type Endpoint, endpointText } from './endpoint.ts'
import { renderChains } from './render-chains.ts'
import type { RenderContext } from './render-context.ts'
import { renderFilter } from './render-filter.ts'
import { renderFrontends } from './render-frontends.ts'
import type { RenderedPort } from './rendered.ts'
import { routingOf } from './routing.ts'
import type { ServicePort } from './service-port.ts'

/** Pure: the same port, endpoints and context give the same text. */
export function renderServicePort(
  port: ServicePort,
  endpoints: readonly Endpoint[],
  context: RenderContext,
): RenderedPort {
  const routing = routingOf(port, endpoints, context.node)
  const serving =
    port.protocol === 'udp' ? endpoints.filter(({ ready, serving }) => ready || serving).map(endpointText) : []
  return {
    port,
    serving,
    chains: renderChains(port, routing, context),
    frontends: renderFrontends(port, routing, context),
    filter: renderFilter(port, routing),
  }
}
