// UDP clients that keep their source port, servers that say who they are, and what conntrack holds of both.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { until } from './agent-machine.ts'
import type { ScratchNamespace } from './scratch.ts'

/** Answers each datagram at the port with its name, until disposed. */
export async function answerAs(
  name: string,
  where: ScratchNamespace,
  port: number,
  { family = 4, host }: { family?: 4 | 6; host?: string } = {},
): Promise<AsyncDisposable> {
  const bind = host === undefined ? '' : `,bind=${host}`
  const server = spawn(
    'nsenter',
    [
      `--net=${where.path}`,
      'socat',
      '-t5',
      `UDP${family}-RECVFROM:${port},fork,reuseaddr${bind}`,
      `SYSTEM:read word; echo ${name}`,
    ],
    { stdio: 'ignore', detached: true },
  )
  await until(
    async () => (await where.run('ss', ['-Hlnu', `sport = :${port}`])).trim() !== '',
    `${name} to listen on port ${port}`,
  )
  return { [Symbol.asyncDispose]: async () => end(server) }
}

/** Sends one datagram from the source port; answers who answered, or undefined where nobody does. */
export async function ask(
  client: ScratchNamespace,
  address: string,
  sourcePort: number,
  { bind = '', seconds = 1 }: { bind?: string; seconds?: number } = {},
): Promise<string | undefined> {
  const family = address.startsWith('[') ? 6 : 4
  const target = `UDP${family}:${address},bind=${bind}:${sourcePort}`
  const said = await client
    .run('socat', [`-T${seconds}`, `-t${seconds}`, '-', target], { input: 'hello\n' })
    .catch(() => '')
  return said.trim() === '' ? undefined : said.trim()
}

/** Sends again and again from the source port until the expected one answers. On a new bridge the first may be lost. */
export async function askUntil(
  expected: string,
  client: ScratchNamespace,
  address: string,
  sourcePort: number,
  options: { bind?: string } = {},
): Promise<void> {
  await until(
    async () => (await ask(client, address, sourcePort, { ...options, seconds: 0.3 })) === expected,
    `${expected} to answer at ${address}`,
  )
}

/** The UDP entries with this source port: "SOURCE > DESTINATION > WHERE THE ANSWERS COME FROM", sorted. */
export async function entriesFrom(
  node: Pick<ScratchNamespace, 'run'>,
  sourcePort: number,
  family: 4 | 6 = 4,
): Promise<string[]> {
  const listed = await node.run('conntrack', [
    '-L',
    '-f',
    family === 4 ? 'ipv4' : 'ipv6',
    '-p',
    'udp',
    '--orig-port-src',
    String(sourcePort),
  ])
  return listed
    .split('\n')
    .flatMap((line) => {
      const [source, to, from] = [...line.matchAll(/src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)/g)].flatMap(
        ([, src, dst, sport, dport], i) => (i === 0 ? [src, `${dst} ${dport}`] : [`${src} ${sport}`]),
      )
      return source === undefined ? [] : [`${source} > ${to} > ${from}`]
    })
    .toSorted()
}

/** Makes an entry of a flow that nobody has to send: `conntrack -I`. */
export async function insertEntry(
  node: Pick<ScratchNamespace, 'run'>,
  flow: { source: string; sourcePort: number; to: [string, number]; from: [string, number]; zone?: number },
): Promise<void> {
  const { source, sourcePort, to, from, zone } = flow
  const words = [
    `-I -p udp -t 600 -s ${source} --sport ${sourcePort} -d ${to[0]} --dport ${to[1]}`,
    `-r ${from[0]} --reply-port-src ${from[1]} -q ${source} --reply-port-dst ${sourcePort}`,
    ...(zone === undefined ? [] : [`-w ${zone}`]),
  ]
  await node.run('conntrack', words.join(' ').split(' '))
}

async function end(server: ChildProcess): Promise<void> {
  if (server.pid === undefined || server.exitCode !== null || server.signalCode !== null) return
  const gone = once(server, 'exit')
  process.kill(-server.pid, 'SIGKILL')
  await gone
}
