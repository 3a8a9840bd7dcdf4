// Malformed requests by the thousand: to the agent's handler, to a real agent's socket, and through the CNI binary as
// shipped and with the compiler's sanitizers. Each gets one JSON document that names an error, and the agent serves the
// next good pod as if nothing had been. TEST_SEED repeats a run.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { AgentMachine, cniBinary } from './agent-machine.ts'
import { damagedHttp, httpOf } from './damaged-http.ts'
import { malformedBody, malformedCall } from './malformed.ts'
import { cni, podNode } from './pod-node.ts'
import { ProgramRunner } from './program-runner.ts'
import { Random } from './random.ts'
import { describeKernel, scratchNamespace } from './scratch.ts'

const long = process.env['FAIRLEAD_LONG'] !== undefined
const scale = long ? 100 : 1
/** A long run has none: who shares the machine may stop and continue it. */
const timeout = long ? 0 : 180_000

function seeded(what: string): Random {
  const random = new Random()
  process.stdout.write(`${what}: TEST_SEED=${random.seed}\n`)
  return random
}

/** The one document; undefined for anything else than one error document and its newline. */
function errorCodeIn(output: string): number | undefined {
  try {
    const { code, msg } = JSON.parse(output) as { code?: unknown; msg?: unknown }
    return typeof code === 'number' && code > 0 && typeof msg === 'string' && msg !== '' ? code : undefined
  } catch {
    return undefined
  }
}

/**
 * Runs `count` attempts, `width` at a time, and answers the first that came out wrong, described.
 * @param attempt also told which of the `width` makes it
 */
async function firstMistake(
  count: number,
  width: number,
  attempt: (number: number, worker: number) => Promise<string | undefined>,
): Promise<string | undefined> {
  let [next, mistake]: [number, string | undefined] = [0, undefined]
  const worker = async (_: unknown, which: number): Promise<void> => {
    while (next < count && mistake === undefined) mistake = (await attempt(next++, which)) ?? mistake
  }
  await Promise.all(Array.from({ length: width }, worker))
  return mistake
}

/** Short enough for a report; whole where the seed is used. */
const show = (bytes: Buffer): string => JSON.stringify(bytes.toString('latin1').slice(0, 600))

describeKernel('malformed CNI requests', () => {
  test("to the agent's handler each get one error document, and nothing is left of them", { timeout }, async () => {
    const random = seeded('handler')
    await using node = await podNode()
    expect(
      await firstMistake(7000 * scale, 1, async (number) => {
        const body = malformedBody(random)
        const answer = await node.network.handle(body)
        return answer.status === 500 && errorCodeIn(answer.body) !== undefined
          ? undefined
          : `request ${number}: ${show(body)} was answered ${answer.status} ${answer.body}`
      }),
    ).toBeUndefined()
    expect([node.network.attachments.size, node.network.ipamStatus()]).toMatchObject([0, [{ used: 0, resting: 0 }]])
    expect(readdirSync(join(node.stateDir, 'attachments'))).toEqual([])
    await using pod = await scratchNamespace()
    expect(await cni(node.network, 'ADD', { containerId: 'good', netns: pod.path })).toMatchObject({
      code: 0,
      document: { ips: [{ address: '10.244.1.2/24' }] },
    })
  })

  let machine: AgentMachine
  const dir = mkdtempSync(join(tmpdir(), 'fairlead-fuzz-'))
  const sanitized = join(dir, 'fairlead-cni')
  beforeAll(async () => {
    execFileSync('gcc', [
      '-std=c11',
      '-g',
      '-O1',
      '-fsanitize=address,undefined',
      '-fno-sanitize-recover=all',
      '-o',
      sanitized,
      join(import.meta.dirname, '../../cmd/fairlead-cni/main.c'),
    ])
    machine = await AgentMachine.start()
    machine.startAgent({ flags: ['--log-level', 'error'] })
    await machine.ready()
  })
  afterAll(async () => {
    rmSync(dir, { recursive: true })
    await machine[Symbol.asyncDispose]()
  })

  const socket = (): string => machine.path('/run/fairlead/cni.sock')

  /** Sends the bytes and no more, and answers all that comes back. */
  async function exchange(bytes: Buffer): Promise<string> {
    const connection = connect(socket())
    connection.on('error', () => {}).end(bytes)
    return await text(connection).catch(String)
  }

  test.each([
    ['good HTTP', 2500, (random: Random): Buffer => httpOf(malformedBody(random))],
    ['damaged HTTP', 1000, damagedHttp],
  ])("to a real agent's socket, as %s, each get one error document", { timeout }, async (what, count, make) => {
    const random = seeded(what)
    expect(
      await firstMistake(count * scale, 8, async (number) => {
        const bytes = make(random)
        const answer = await exchange(bytes)
        const end = answer.indexOf('\r\n\r\n')
        const good = /^HTTP\/1\.1 [45]\d\d /.test(answer) && errorCodeIn(answer.slice(end + 4)) !== undefined
        return good ? undefined : `request ${number}: ${show(bytes)} was answered ${JSON.stringify(answer)}`
      }),
    ).toBeUndefined()
    await stillServes()
  })

  test.each([
    ['shipped', 2000, () => cniBinary],
    ['sanitized', 2000, () => sanitized],
  ])(
    'through the binary, %s, each get one error document and exit code 1',
    { timeout },
    async (what, count, binary) => {
      const random = seeded(what)
      await using stack = new AsyncDisposableStack()
      const runners = [1, 2].map(() => stack.use(new ProgramRunner(binary())))
      expect(
        await firstMistake(count * scale, runners.length, async (number, worker) => {
          const { variables, stdin } = malformedCall(random)
          const { exitCode, stdout, stderr } = await runners[worker]!.run(
            { ...variables, FAIRLEAD_SOCKET: socket(), ASAN_OPTIONS: 'detect_leaks=0' },
            stdin,
          )
          const good = exitCode === 1 && stderr === '' && errorCodeIn(stdout) !== undefined
          return good
            ? undefined
            : `call ${number}: ${JSON.stringify(variables).slice(0, 600)} ${show(stdin)} ended with ${exitCode}: ${stdout}${stderr}`
        }),
      ).toBeUndefined()
      await stillServes()
    },
  )

  let served = 0
  /** The same agent, with nothing of what was refused, takes a good pod and lets it go. */
  async function stillServes(): Promise<void> {
    const name = `good${served++}`
    expect(await machine.succeed('ls', ['/run/fairlead/attachments'])).toBe('')
    await machine.addPodNamespace(name)
    expect(await machine.cni('ADD', { containerId: name, netns: name })).toMatchObject({
      code: 0,
      document: { ips: [{ address: `10.244.1.${served + 1}/24` }] },
    })
    expect(await machine.cni('DEL', { containerId: name, netns: name })).toEqual({ exitCode: 0, code: 0, document: {} })
    await vi.waitFor(
      async () => expect(await machine.succeed('ip', ['-o', 'link', 'show', 'type', 'veth'])).not.toContain('cni0'),
      60_000,
    )
    expect(machine.log).toEqual([])
    expect((await machine.succeed('pgrep', ['-fc', 'fairlead.mjs agent'])).trim()).toBe('1')
  }
})
