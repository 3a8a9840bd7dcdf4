// A client that opens connections at a steady rate, whether or not those before have been answered: `node
// steady-load-process.ts ADDRESS PORT RATE`. When its stdin ends it waits for the last answers and prints, as JSON, how
// many it asked for, who answered, and each failure.
import { connect } from 'node:net'

const [address = '', port = '', rate = ''] = process.argv.slice(2)
/** A lost packet is sent again after 1 s, then 2 s: what is answered after that was late and no failure. */
const patienceMs = 10_000
const begin = performance.now()
const failures: string[] = []
const answered = new Map<string, number>()
const open = new Set<Promise<void>>()
let asked = 0
/** Answered, but so late that a packet must have been lost and sent again. */
let late = 0

process.stdout.write('started\n')
const timer = setInterval(() => {
  // By the clock: what a busy moment held up is caught up with.
  for (const due = ((performance.now() - begin) / 1000) * Number(rate); asked < due; asked++) {
    const one = ask().finally(() => open.delete(one))
    open.add(one)
  }
}, 10)
process.stdin.resume().once('end', () => {
  clearInterval(timer)
  void Promise.all(open).then(() =>
    process.stdout.write(`${JSON.stringify({ asked, late, answered: Object.fromEntries(answered), failures })}\n`),
  )
})

function ask(): Promise<void> {
  return new Promise((resolve) => {
    const askedAt = performance.now()
    const socket = connect({ host: address, port: Number(port) }, () => socket.write('?\n'))
    const end = (failure?: string): void => {
      if (failure !== undefined) failures.push(failure)
      // Closed by a reset: an orderly end would keep each port for a minute, and there are 28,000.
      socket.resetAndDestroy()
      resolve()
    }
    socket.setTimeout(patienceMs, () => end('no answer'))
    socket.once('error', ({ message }) => end(message))
    socket.once('end', () => end('closed without an answer'))
    socket.once('data', (line: Buffer) => {
      const { pod } = JSON.parse(line.toString()) as { pod: string }
      if (performance.now() - askedAt > 900) late += 1
      answered.set(pod, (answered.get(pod) ?? 0) + 1)
      end()
    })
  })
}
