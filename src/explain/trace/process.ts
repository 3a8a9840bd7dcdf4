// The last hop: the process that listens on the destination port, if there is one.
import { familyOf } from '../../net/address.ts'
import { listenersCommand } from '../../kernel/read-listeners.ts'
import type { Flow } from './flow.ts'
import type { Hop } from './hop.ts'
import { ask, type TraceWalk } from './question.ts'

/**
 * Looks for a listener on the destination.
 * @param owner the pod or node that has the port, for messages.
 * @param netns the namespace of the pod; undefined for the node's own.
 * @returns one hop, or none when the sockets cannot be listed and for SCTP.
 */
export function* walkToProcess({ destination, port, protocol }: Flow, owner: string, netns?: string): TraceWalk<Hop[]> {
  if (protocol === 'sctp') return []
  const question = { protocol, ...(netns === undefined ? {} : { netns }) }
  const listeners = yield* ask('listeners', question)
  if (listeners === undefined) return []
  const hop = { at: `port ${port}/${protocol}`, command: listenersCommand(question) }
  const listener = listeners.find(
    (each) => each.port === port && (each.address === undefined || each.address === destination),
  )
  if (listener !== undefined) {
    const address = listener.address ?? (familyOf(destination) === 4 ? '0.0.0.0' : '[::]')
    return [{ ...hop, object: `${protocol === 'tcp' ? 'LISTEN' : 'UNCONN'} ${address}:${port}` }]
  }
  const elsewhere = listeners.filter((each) => each.port === port).map(({ address }) => address)
  const broken =
    elsewhere.length === 0
      ? {
          problem: `no process listens on port ${port}/${protocol} of ${owner}: the client is refused`,
          remedy: 'compare the port with that of the program, and see whether it has started: kubectl logs',
        }
      : {
          problem:
            `the process on port ${port}/${protocol} of ${owner} listens on ${elsewhere.join(', ')} only: ` +
            'the client is refused',
          remedy: `let it listen on 0.0.0.0, or on ${destination}`,
        }
  return [{ ...hop, object: 'no listener', broken }]
}
