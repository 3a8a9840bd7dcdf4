// The echo server's client: asks once, or many times and counts, or without end and looks for silence. What comes is
// printed as JSON.
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const withinMs = 5000
/** Connections of askMany that are open at a time. */
const atOnce = 64
/** ms between two datagrams of a stream. */
const beatMs = 10

/** Prints one answer. Exit code 1 when none came. */
export function ask(host: string, argument: string): void {
  exchange(host, argument, withinMs).then(
    (answer) => process.stdout.write(`${answer}\n`, () => process.exit(0)),
    ({ message }: Error) => {
      process.stderr.write(`no answer from ${host} ${argument}: ${message}\n`)
      process.exit(1)
    },
  )
}

/**
 * Prints how often each pod answered, what it saw as the client, and why there was no answer:
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
  await Promise.all(Array.from({ length: Math.min(count, atOnce) }, askOn))
  const counted = Array.from(answers, ([identity, count]) => ({ ...(JSON.parse(identity) as object), count }))
  process.stdout.write(
    `${JSON.stringify({ answers: counted, failures: Array.from(failures, ([reason, count]) => ({ reason, count })) })}\n`,
  )
}

/**
 * Sends datagrams from one port, one connection to the kernel, without waiting for their answers, until stdin ends.
 * Prints a line for each pod that is not the one that answered before, {"pod":"a"}, and last the longest time without
 * an answer, from the first one on: {"silenceMs":40}.
 */
export async function stream(host: string, argument: string, localPort: number): Promise<void> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  let answering: string | undefined
  let [last, silenceMs] = [Infinity, 0]
  const heard = (): void => {
    silenceMs = Math.max(silenceMs, Date.now() - last)
    last = Date.now()
  }
  socket.on('message', (text) => {
    heard()
    const { pod } = JSON.parse(text.toString()) as { pod: string }
    if (pod !== answering) process.stdout.write(`${JSON.stringify({ pod })}\n`)
    answering = pod
  })
  // Not connected: a refusal that comes while an endpoint dies is silence like any other.
  socket.bind(localPort)
  const { port } = target(argument)
  const ending = new AbortController()
  process.stdin.resume().on('end', () => ending.abort())
  for (; !ending.signal.aborted; await sleep(beatMs)) socket.send('?', port, host)
  heard()
  socket.close()
  process.stdout.write(`${JSON.stringify({ silenceMs })}\n`)
}

/** One question on a connection of its own, and its answer. */
async function exchange(host: string, argument: string, withinMs: number): Promise<string> {
  const { port, protocol } = target(argument)
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const timer = setTimeout(() => reject(new Error(`nothing came within ${withinMs} ms`)), withinMs)
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
  // Connected, so that a refusal (ICMP) is heard.
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

/** What tells one answer from another but for the client's port, which is another each time. */
function identityOf(text: string): string {
  const { pod, port, client } = JSON.parse(text) as { pod: string; port: number; client: string }
  return JSON.stringify({ pod, port, client: client.replace(/:\d+$/, '') })
}
