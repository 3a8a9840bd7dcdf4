// The end of the way: a process that listens, or nobody.
import { familyOf } from '../../net/address.ts'
import { listenersCommand } from '../../kernel/read-listeners.ts'
import type { Flow } from './flow.ts'
import type { Hop } from './hop.ts'
import { ask, type Walk } from './question.ts'

/** @param netns of the pod; undefined: the node's own. @returns nothing where it cannot be told */
export function* walkToProcess({ destination, port, protocol }: Flow, whose: string, netns?: string): Walk<Hop[]> {
  if (protocol === 'sctp') return []
  const question = { protocol, ...(netns === undefined ? {} : { netns }) }
  const listeners = yield* ask('listeners', question)
  if (listeners === undefined) return []
  const hop = { at: `port ${port}/${protocol}`, command: listenersCommand(question) }
  const listener = listeners.find(
    (each) => each.port === port && (each.address === undefined || each.address === destination),
  )
  if (listener !== undefined)
    return [
      {
        ...hop,
        object: `${protocol === 'tcp' ? 'LISTEN' : 'UNCONN'} ${listener.address ?? (familyOf(destination) === 4 ? '0.0.0.0' : '[::]')}:${port}`,
      },
    ]
  const elsewhere = listeners.filter((each) => each.port === port).map(({ address }) => address)
  const problem =
    elsewhere.length === 0
      ? `nobody listens on port ${port}/${protocol} of ${whose}: the client is refused`
      : `what listens on port ${port}/${protocol} of ${whose} does so on ${elsewhere.join(', ')} alone: the client is refused`
  return [
    {
      ...hop,
      object: 'nobody',
      broken: {
        problem,
        remedy:
          elsewhere.length === 0
            ? 'compare the port with that of the program, and see whether it has started: kubectl logs'
            : `let it listen on 0.0.0.0, or on ${destination}`,
      },
    },
  ]
}
