// /healthz, /livez and /readyz. Live: the event loop answers. Ready: the node's pods can be served. An outage of the API server makes the
// agent neither dead nor unready once it has been ready: the dataplane works without it, and a restart would not help.
import type { RequestListener } from 'node:http'

export interface Health {
  /** What still has to happen before pods can be served; empty when ready. */
  readonly missing: () => readonly string[]
}

export function healthHandler(health: Health): RequestListener {
  return (request, response) => {
    const path = request.url?.split('?')[0]
    if (path === '/livez' || path === '/healthz') return void response.writeHead(200).end('ok\n')
    if (path === '/readyz') {
      const missing = health.missing()
      return void response.writeHead(missing.length === 0 ? 200 : 503).end(missing.length === 0 ? 'ok\n' : `not ready: ${missing.join('; ')}\n`)
    }
    response.writeHead(404).end('try /healthz, /livez or /readyz\n')
  }
}
