// The client of the echo server: sends one request, sends many and counts the answers, or sends a stream of datagrams
// and measures gaps. It prints its results as JSON.
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const timeoutMs = 5000
/** The number of connections that askMany keeps open at a time. */
const maxConcurrent = 64
/** ms between two datagrams of a stream. */
const intervalMs = 10

/** Sends one request and prints the answer. The exit code is 1 without an answer. */
export function ask(host: string, argument: string): void {
  exchange(host, argument, timeoutMs).then(
    (answer) => process.stdout.write(`${answer}\n`, () => process.exit(0)),
    ({ message }: Error) => {
      process.stderr.write(`no answer from ${host} ${argument}: ${message}\n`)
      process.exit(1)
    },
  )
}

/**
 * Sends many requests. Prints how often each pod answered and which client address it saw, and the reasons of failures:
 * {"answers":[{"pod","port","client","count"}],"failures":[{"reason","count"}]}.
 */
export async function askMany(
  host: string,
  argument: string,
  { count, withinMs }: { count: number; withinMs: number },
): Promise<void> {
  const [answers, failures] = [new Map<string, number>(), new Map<string, number>()]
  const add = (counts: Map<string, number>, key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1)
  let left = count
  const askOn = async (): Promise<void> => {
    while (left-- > 0)
      await exchange(host, argument, withinMs).then(
        (text) => add(answers, identityOf(text)),
        (error: Error) => add(failures, error.message),
      )
  }
  await Promise.all(Array.from({ length: Math.min(count, maxConcurrent) }, askOn))
  const counted = Array.from(answers, ([identity, count]) => ({ ...(JSON.parse(identity) as object), count }))
  const failed = Array.from(failures, ([reason, count]) => ({ reason, count }))
  process.stdout.write(`${JSON.stringify({ answers: counted, failures: failed })}\n`)
}

/**
 * Sends datagrams from one port, which is one connection for conntrack, without waiting for answers, until stdin ends.
 * Prints {"pod":"a"} whenever another pod answers than before, and at the end the longest gap between two answers:
 * {"silenceMs":40}.
 */
export async function stream(host: string, argument: string, localPort: number): Promise<void> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  let answering: string | undefined
  let [last, silenceMs] = [Infinity, 0]
  const answered = (): void => {
    silenceMs = Math.max(silenceMs, Date.now() - last)
    last = Date.now()
  }
  socket.on('message', (text) => {
    answered()
    const { pod } = JSON.parse(text.toString()) as { pod: string }
    if (pod !== answering) process.stdout.write(`${JSON.stringify({ pod })}\n`)
    answering = pod
  })
  // The socket is not connected, so an ICMP error while an endpoint terminates is ignored and counts as a gap.
  socket.bind(localPort)
  const { port } = target(argument)
  const ending = new AbortController()
  process.stdin.resume().on('end', () => ending.abort())
  for (; !ending.signal.aborted; await sleep(intervalMs)) socket.send('?', port, host)
  answered()
  socket.close()
  process.stdout.write(`${JSON.stringify({ silenceMs })}\n`)
}

/** Sends one request on a new connection and returns the answer. */
async function exchange(host: string, argument: string, withinMs: number): Promise<string> {
  const { port, protocol } = target(argument)
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const timer = setTimeout(() => reject(new Error(`no answer within ${withinMs} ms`)), withinMs)
  const answered = (text: Buffer): void => resolve(text.toString().trim())
  const [open, close] =
    protocol === 'UDP' ? datagram(host, port, answered, reject) : connection(host, port, answered, reject)
  open()
  return await promise.finally(() => {
    clearTimeout(timer)
    close()
  })
}

type Conversation = readonly [open: () => void, close: () => void]

function datagram(
  host: string,
  port: number,
  answered: (text: Buffer) => void,
  failed: (error: Error) => void,
): Conversation {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  socket.on('message', answered)
  socket.on('error', failed)
  // A connected socket receives ICMP errors.
  return [() => socket.connect(port, host, () => socket.send('?')), () => socket.close()]
}

function connection(
  host: string,
  port: number,
  answered: (text: Buffer) => void,
  failed: (error: Error) => void,
): Conversation {
  const socket = connect({ host, port })
  socket.on('data', answered)
  socket.on('error', failed)
  return [() => socket.on('connect', () => socket.write('?\n')), () => socket.destroy()]
}

function target(argument: string): { port: number; protocol: string } {
  const [port = '', protocol = 'TCP'] = argument.split('/')
  return { port: Number(port), protocol }
}

/** Returns an answer without the client's port, which differs every time. */
function identityOf(text: string): string {
  const { pod, port, client } = JSON.parse(text) as { pod: string; port: number; client: string }
  return JSON.stringify({ pod, port, client: client.replace(/:\d+$/, '') })
}
