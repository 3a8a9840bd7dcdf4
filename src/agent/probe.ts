// POST /probe: what the doctor of another node asks this one, once by its own address and once through the tunnel. The
// answer is as long as the question: both ways are tried with the same packets, and nobody can have us send more than
// he sent.
import type { RequestListener } from 'node:http'
import { readTunnelCounters } from '../kernel/tunnel-counters.ts'
import type { InterfaceName } from '../net/interface-name.ts'

const longest = 64 << 10

/** @param device the tunnel's, as it is configured now */
export function probeHandler(device: () => InterfaceName): RequestListener {
  return (request, response) => {
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > longest) request.destroy()
    })
    request.on('end', () =>
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify(readTunnelCounters(device())).padEnd(bytes)),
    )
  }
}
