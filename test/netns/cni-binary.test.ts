// The CNI binary as it is shipped, and once more with the compiler's sanitizers, against an agent that answers what a
// test tells it to.
import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serveCni } from '../../src/agent/cni-socket.ts'
import { parseCniRequest } from '../../src/pods/cni/cni-request.ts'
import { parseResult } from '../../src/pods/cni/cni-result.ts'
import { cniVersions } from '../../src/pods/cni/cni-version.ts'
import { goldenBytes, goldenConf, goldenEnvironment, goldenMeaning } from '../../src/pods/cni/golden-request.ts'
import { describeKernel, scratchNamespace, testLog } from './scratch.ts'

const source = join(import.meta.dirname, '../../cmd/fairlead-cni/main.c')
const dir = mkdtempSync(join(tmpdir(), 'fairlead-cni-'))
const shipped = join(dir, 'fairlead-cni')
const sanitized = join(dir, 'fairlead-cni-sanitized')
const loopback = join(dir, 'loopback')

beforeAll(() => {
  execFileSync('musl-gcc', ['-std=c11', '-Os', '-static', '-s', '-Wall', '-Wextra', '-Werror', '-o', shipped, source])
  execFileSync('gcc', [
    '-std=c11',
    '-g',
    '-O1',
    '-fsanitize=address,undefined',
    '-fno-sanitize-recover=all',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-o',
    sanitized,
    source,
  ])
  copyFileSync(shipped, loopback)
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

interface Outcome {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: Buffer
  /** Also where a sanitizer would report. */
  readonly stderr: string
}

interface Call {
  readonly env?: Record<string, string>
  readonly args?: readonly string[]
  readonly input?: string | Buffer
  readonly deaf?: boolean
}

function run(program: string, { env = {}, args = [], input = '', deaf = false }: Call): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    // Nothing is freed before exit, so leaks are no finding.
    const child = spawn(program, args, { env: { ASAN_OPTIONS: 'detect_leaks=0', ...env } })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    if (deaf) child.stdout.destroy()
    child.stdin.on('error', () => {}).end(input)
    child.on('error', reject)
    child.on('close', (code, signal) =>
      resolve({ code, signal, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() }),
    )
  })
}

interface Script {
  /** Sent when the whole request is there, or as soon as someone connects. */
  readonly answer?: string | Buffer
  readonly when?: 'read' | 'connected'
  readonly after?: 'close' | 'hang'
}

interface ScriptedAgent extends AsyncDisposable {
  readonly path: string
  readonly requests: Buffer[]
}

async function scriptedAgent(
  script: Script,
  path = join(dir, `${randomBytes(4).toString('hex')}.sock`),
): Promise<ScriptedAgent> {
  const requests: Buffer[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    const finish = (): void => {
      if (script.answer !== undefined) socket.write(script.answer)
      if (script.after !== 'hang') socket.destroySoon()
    }
    if (script.when === 'connected') return finish()
    let request = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      request = Buffer.concat([request, chunk])
      const head = request.indexOf('\r\n\r\n')
      const length = Number(/Content-Length: (\d+)/.exec(request.toString('latin1', 0, head))?.[1])
      if (request.length < head + 4 + length) return
      requests.push(request)
      finish()
    })
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return {
    path,
    requests,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const http = (status: string, body: string | Buffer): Buffer =>
  Buffer.concat([
    Buffer.from(
      `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n`,
    ),
    Buffer.from(body),
  ])

const bodyOf = (request: Buffer): Buffer => request.subarray(request.indexOf('\r\n\r\n') + 4)
/** As the binary names the network namespace at a path. */
const namespaceId = (path: string): string => {
  const { dev, ino } = statSync(path)
  return `${dev}:${ino}`
}
const codeOf = (outcome: Outcome): unknown => (JSON.parse(outcome.stdout.toString()) as { code: unknown }).code
const long = process.env['FAIRLEAD_LONG'] !== undefined

describe.each([
  ['shipped', shipped],
  ['sanitized', sanitized],
])('the CNI binary, %s', (_, binary) => {
  const call = (command: string, socket: string, more: Call = {}): Promise<Outcome> =>
    run(binary, { ...more, env: { CNI_COMMAND: command, FAIRLEAD_SOCKET: socket, ...more.env } })

  test('sends the golden bytes, and gives back what the agent said', async () => {
    const netns = '/proc/self/ns/net'
    await using agent = await scriptedAgent({ answer: http('200 OK', '{"cniVersion":"1.1.0"}\n') })
    const env = { ...goldenEnvironment(netns), FAIRLEAD_SOCKET: agent.path }
    expect(await run(binary, { env, input: goldenConf })).toEqual({
      code: 0,
      signal: null,
      stdout: Buffer.from('{"cniVersion":"1.1.0"}\n'),
      stderr: '',
    })
    expect(agent.requests[0]?.toString()).toBe(goldenBytes(netns, namespaceId(netns)))
  })

  test("is understood by the agent's own socket, which says so when it is not", async () => {
    const path = join(dir, 'agent.sock')
    const netns = '/proc/self/ns/net'
    await using agent = new AsyncDisposableStack()
    agent.use(
      await serveCni(
        path,
        {
          status: async () => ({}),
          lookup: () => [],
          handle: async (body) => ({ status: 200, body: JSON.stringify(parseCniRequest(body)) }),
        },
        testLog,
      ),
    )
    const env = { ...goldenEnvironment(netns), FAIRLEAD_SOCKET: path }
    const { stdout } = await run(binary, { env, input: goldenConf })
    expect(JSON.parse(stdout.toString())).toEqual(JSON.parse(JSON.stringify(goldenMeaning(netns, namespaceId(netns)))))
    expect(codeOf(await run(binary, { env, input: Buffer.alloc(5 << 20) }))).toBe(5)
  })

  test('carries bytes of any value and a megabyte of them, both ways', async () => {
    const stdin = randomBytes(3 << 20)
    const answer = randomBytes(2 << 20)
    await using agent = await scriptedAgent({ answer: http('200 OK', answer) })
    const outcome = await call('ADD', agent.path, { input: stdin })
    expect(outcome).toMatchObject({ code: 0, stderr: '' })
    expect(outcome.stdout.equals(answer)).toBe(true)
    expect(bodyOf(agent.requests[0]!).equals(Buffer.concat([Buffer.from('CNI_COMMAND=ADD\0\0'), stdin]))).toBe(true)
  })

  test('sends the CNI variables of a huge environment, and no others', async () => {
    const filler = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`SECRET_${i}`, 'x'.repeat(100_000)]))
    const args = `K=${'v'.repeat(120_000)}`
    await using agent = await scriptedAgent({ answer: http('200 OK', '{}') })
    expect(
      await call('ADD', agent.path, { env: { ...filler, CNI_ARGS: args, CNIX: 'no', CNI_NETNS: '/nowhere' } }),
    ).toMatchObject({ code: 0, stderr: '' })
    expect(bodyOf(agent.requests[0]!).toString()).toBe(`CNI_COMMAND=ADD\0CNI_ARGS=${args}\0CNI_NETNS=/nowhere\0\0`)
  })

  test("an error document is the agent's, exit code 1 says that it is one", async () => {
    const document = '{"cniVersion":"0.4.0","code":7,"msg":"no \\"name\\"","details":"é"}\n'
    await using agent = await scriptedAgent({ answer: http('500 Internal Server Error', document) })
    const outcome = await call('DEL', agent.path)
    expect(outcome).toMatchObject({ code: 1, stderr: '' })
    expect(outcome.stdout.toString()).toBe(document)
  })

  test('success without a body prints nothing', async () => {
    await using agent = await scriptedAgent({ answer: http('200 OK', '') })
    expect(await call('DEL', agent.path)).toEqual({ code: 0, signal: null, stdout: Buffer.alloc(0), stderr: '' })
  })

  test('an answer that comes before the request was read is heard', async () => {
    await using agent = await scriptedAgent({ answer: http('413 Payload Too Large', '{"code":5}'), when: 'connected' })
    expect(await call('ADD', agent.path, { input: randomBytes(4 << 20) })).toMatchObject({
      code: 1,
      stdout: Buffer.from('{"code":5}'),
      stderr: '',
    })
  })

  test('an answer is complete by its length, not by the end of the connection', async () => {
    await using agent = await scriptedAgent({ answer: http('200 OK', '{}'), after: 'hang' })
    expect(await call('ADD', agent.path)).toMatchObject({ code: 0, stdout: Buffer.from('{}') })
  })

  const whole = http('200 OK', '{"cniVersion":"1.1.0","interfaces":[]}')
  test.each([
    ['nothing', ''],
    ['half a status line', 'HTTP/1.'],
    ['half a header', whole.subarray(0, 40)],
    ['a header alone', whole.subarray(0, whole.indexOf('{'))],
    ['all but the last byte', whole.subarray(0, -1)],
    ['an answer of no stated length', 'HTTP/1.1 200 OK\r\n\r\n{"cniVersion":"1.1.0"}'],
    ['an error without a body', http('502 Bad Gateway', '')],
    ['something else than HTTP', 'Content-Length: 2\r\n\r\n{}'],
  ])('an agent that goes away after %s makes ADD try again and DEL succeed', async (_, answer) => {
    await using agent = await scriptedAgent({ answer })
    for (const [command, code] of [
      ['ADD', 11],
      ['CHECK', 11],
      ['STATUS', 50],
    ] as const) {
      const outcome = await call(command, agent.path)
      expect(outcome).toMatchObject({ code: 1, stderr: '' })
      expect(codeOf(outcome)).toBe(code)
    }
    for (const command of ['DEL', 'GC'])
      expect(await call(command, agent.path)).toEqual({ code: 0, signal: null, stdout: Buffer.alloc(0), stderr: '' })
  })

  test('without an agent CHECK and STATUS fail with the remedy, DEL and GC succeed in silence', async () => {
    for (const [command, code] of [
      ['CHECK', 11],
      ['STATUS', 50],
    ] as const) {
      const outcome = await call(command, join(dir, 'nobody.sock'))
      expect(outcome).toMatchObject({ code: 1, stderr: '' })
      expect(codeOf(outcome)).toBe(code)
      expect(outcome.stdout.toString()).toContain("look at the log of this node's fairlead pod")
    }
    for (const command of ['DEL', 'GC'])
      expect(await call(command, join(dir, 'nobody.sock'))).toEqual({
        code: 0,
        signal: null,
        stdout: Buffer.alloc(0),
        stderr: '',
      })
  })

  test('ADD waits for an agent that is about to listen', async () => {
    const path = join(dir, `late-${randomBytes(4).toString('hex')}.sock`)
    const pending = call('ADD', path)
    // Not before the binary can have seen that there is nothing; a slower one finds the agent at once, which is right
    // too.
    await new Promise((resolve) => setTimeout(resolve, 250))
    await using agent = await scriptedAgent({ answer: http('200 OK', '{}') }, path)
    expect(await pending).toMatchObject({ code: 0, stdout: Buffer.from('{}') })
    expect(agent.requests).toHaveLength(1)
  })

  test('STATUS does not wait for an agent that hangs', async () => {
    await using agent = await scriptedAgent({ after: 'hang' })
    const outcome = await call('STATUS', agent.path)
    expect(codeOf(outcome)).toBe(50)
    expect(outcome.stderr).toBe('')
  })

  test.runIf(long)('ADD gives up when no agent comes, DEL when one hangs', async () => {
    await using agent = await scriptedAgent({ after: 'hang' })
    const [add, del] = await Promise.all([call('ADD', join(dir, 'nobody.sock')), call('DEL', agent.path)])
    expect([codeOf(add), codeOf(del)]).toEqual([11, 11])
  })

  test('a socket name in an error leaves it one JSON document', async () => {
    const outcome = await call('STATUS', '/run/"\\\n\u00e9.sock')
    expect(codeOf(outcome)).toBe(50)
    const tooLong = await call('STATUS', `/run/${'x'.repeat(5000)}`)
    expect(codeOf(tooLong)).toBe(4)
  })

  test('stdin that cannot be read is code 5', async () => {
    const outcome = await run('/bin/sh', { args: ['-c', 'exec "$0" <&-', binary], env: { CNI_COMMAND: 'ADD' } })
    expect(outcome).toMatchObject({ code: 1, stderr: '' })
    expect(codeOf(outcome)).toBe(5)
  })

  test('a runtime that no longer listens is an exit code, not a signal', async () => {
    await using agent = await scriptedAgent({ answer: http('200 OK', randomBytes(1 << 20)) })
    expect(await call('ADD', agent.path, { deaf: true })).toMatchObject({ code: 1, signal: null, stderr: '' })
  })

  test('VERSION is answered without an agent, with the versions that the agent speaks', async () => {
    const { code, stdout } = await call('VERSION', join(dir, 'nobody.sock'), { input: '{"cniVersion":"1.1.0"}' })
    expect(code).toBe(0)
    expect(JSON.parse(stdout.toString())).toEqual({ cniVersion: cniVersions.at(-1), supportedVersions: cniVersions })
  })

  test('run by hand it says what it is; an unknown command is code 4', async () => {
    expect(await run(binary, {})).toMatchObject({
      code: 0,
      stdout: Buffer.alloc(0),
      stderr: expect.stringContaining(cniVersions.join(', ')) as string,
    })
    expect(codeOf(await call('UP"DATE', join(dir, 'nobody.sock')))).toBe(4)
  })
})

test('the binary is small enough to copy to every node without a thought', () => {
  expect(statSync(shipped).size).toBeLessThan(100_000)
})

describeKernel('the CNI binary on a bare host', () => {
  test('runs where there is no library, no shell and no /proc', async () => {
    const host = join(dir, 'host')
    mkdirSync(join(host, 'run/fairlead'), { recursive: true })
    copyFileSync(shipped, join(host, 'fairlead-cni'))
    await using agent = await scriptedAgent({ answer: http('200 OK', '{"ok":1}') }, join(host, 'run/fairlead/cni.sock'))
    const outcome = await run('/usr/sbin/chroot', {
      args: [host, '/fairlead-cni'],
      env: { CNI_COMMAND: 'ADD' },
      input: 'conf',
    })
    expect(outcome).toEqual({ code: 0, signal: null, stdout: Buffer.from('{"ok":1}'), stderr: '' })
    expect(bodyOf(agent.requests[0]!).toString()).toBe('CNI_COMMAND=ADD\0\0conf')
  })
})

describeKernel('the CNI binary as loopback', () => {
  const conf = '{ "cniVersion" : "0.3.1", "name": "cni-loopback", "type": "loopback" }'
  const call = (command: string, netns: string): Promise<Outcome> =>
    run(loopback, {
      env: {
        CNI_COMMAND: command,
        CNI_NETNS: netns,
        CNI_IFNAME: 'lo',
        CNI_CONTAINERID: 'c',
        CNI_PATH: '/x',
        FAIRLEAD_SOCKET: join(dir, 'nobody.sock'),
      },
      input: conf,
    })

  test('sets lo up in the namespace, says so in the version asked, and notices when it is down', async () => {
    await using pod = await scratchNamespace()
    await pod.run('ip', ['link', 'set', 'lo', 'down'])
    expect(codeOf(await call('CHECK', pod.path))).toBe(100)
    const added = await call('ADD', pod.path)
    expect(added).toMatchObject({ code: 0, stderr: '' })
    expect(await pod.run('ip', ['addr', 'show', 'lo'])).toMatch(/LOOPBACK,UP[^]*127\.0\.0\.1\/8[^]*::1\/128/)
    const result = JSON.parse(added.stdout.toString()) as { cniVersion: string }
    expect(result.cniVersion).toBe('0.3.1')
    expect(parseResult(result)).toMatchObject({
      interfaces: [{ name: 'lo', sandbox: pod.path }],
      ips: [
        { address: '127.0.0.1', prefix: 8, interface: 0 },
        { address: '::1', prefix: 128, interface: 0 },
      ],
    })
    for (const command of ['CHECK', 'DEL'])
      expect(await call(command, pod.path)).toEqual({ code: 0, signal: null, stdout: Buffer.alloc(0), stderr: '' })
  })

  test('DEL of a namespace that is gone succeeds, ADD does not', async () => {
    for (const netns of ['', '/run/netns/ft-gone']) {
      expect(await call('DEL', netns)).toMatchObject({ code: 0, stdout: Buffer.alloc(0) })
      expect(codeOf(await call('ADD', netns))).toBe(8)
    }
    expect(await call('STATUS', '')).toMatchObject({ code: 0, stdout: Buffer.alloc(0) })
  })
})
