// A client that connects again and again, one connection after the other: `node steady-client-process.ts ADDRESS PORT`.
// At SIGTERM it prints, as JSON, how many connections were answered, and each failure. One SYN that gets lost is a
// failure: the answer would come, but after a second.
import { connect } from 'node:net'

const [address = '', port = ''] = process.argv.slice(2)
const failures: string[] = []
let answered = 0
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
process.stdout.write('started\n')
while (!stop.signal.aborted) {
  const failure = await once()
  if (failure === undefined) answered += 1
  else failures.push(failure)
}
process.stdout.write(`${JSON.stringify({ answered, failures })}\n`)

/** @returns what went wrong. */
function once(): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port: Number(port) })
    const end = (failure?: string): void => {
      socket.destroy()
      resolve(failure)
    }
    socket.setTimeout(900, () => end('no answer'))
    socket.once('error', ({ message }) => end(message))
    socket.once('data', () => end())
    socket.once('end', () => end('closed without an answer'))
  })
}
