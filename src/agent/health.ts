// /healthz, /livez and /readyz, and /probe for other nodes. Live: the event loop answers, and where we proxy Services
// their rules keep up with the cluster. Healthy: live, and load balancers may send traffic to this node. Ready: the
// node's pods can be served, and its rules are as the cluster says. An outage of the API server makes the agent neither dead nor unready once it has been
// ready: the dataplane works without it, and a restart would not help.
import type { RequestListener } from 'node:http'
import type { HealthAnswer } from '../services/health/proxy-health.ts'

export interface Health {
  /** What keeps pods from being served as the cluster says; empty when ready. */
  readonly missing: () => readonly string[]
  /** As kube-proxy answers; undefined where Services are another's. */
  readonly proxy?: { healthz: () => HealthAnswer; livez: () => HealthAnswer } | undefined
  /** Answers POST /probe. */
  readonly probe?: RequestListener
  /** Told of each answer that the proxy gave. */
  readonly answered?: (path: 'healthz' | 'livez', code: number) => void
}

export function healthHandler(health: Health): RequestListener {
  return (request, response) => {
    const path = request.url?.split('?')[0]
    if (path === '/livez' || path === '/healthz') {
      const name = path === '/livez' ? 'livez' : 'healthz'
      if (health.proxy === undefined) return void response.writeHead(200).end('ok\n')
      const { status, headers, body } = health.proxy[name]()
      health.answered?.(name, status)
      return void response.writeHead(status, headers).end(body)
    }
    if (path === '/readyz') {
      const missing = health.missing()
      return void response
        .writeHead(missing.length === 0 ? 200 : 503)
        .end(missing.length === 0 ? 'ok\n' : `not ready: ${missing.join('; ')}\n`)
    }
    if (path === '/probe' && request.method === 'POST' && health.probe !== undefined)
      return health.probe(request, response)
    response.writeHead(404).end('try /healthz, /livez or /readyz\n')
  }
}
