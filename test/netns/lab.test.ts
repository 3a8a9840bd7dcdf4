// The lab through its own command line: what a newcomer types, and what is left afterwards.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { describeKernel } from './scratch.ts'

const root = join(import.meta.dirname, '../..')
const name = `ft-lab-${process.pid}`
const other = `${name}-other`
/** What a real node has; on this machine it has to stay as it is. */
const nodePaths = ['/etc/cni', '/opt/cni', '/var/lib/cni', '/etc/netns', '/run/fairlead']
const before = nodePaths.map((path) => existsSync(path))
const echo = join(root, 'dist/echo.mjs')

interface Answer {
  pod: string
  node: string
  client: string
}

async function lab(args: readonly string[], options: { input?: string; in?: string } = {}): Promise<{ exitCode?: number; stdout: string; stderr: string }> {
  const [command = '', ...rest] = args
  return await execa(join(root, 'bin/fairlead'), ['lab', command, '--name', options.in ?? name, ...rest], { reject: false, input: options.input ?? '' })
}

async function succeed(args: readonly string[], options: { input?: string; in?: string } = {}): Promise<string> {
  const { exitCode, stdout, stderr } = await lab(args, options)
  expect(exitCode, `fairlead lab ${args.join(' ')}: ${stdout}\n${stderr}`).toBe(0)
  return stdout
}

interface Pod {
  name: string
  node: string
  address: string
  phase: string
  ready: boolean
}

async function pods(): Promise<Pod[]> {
  return (JSON.parse(await succeed(['status', '-o', 'json'])) as { pods: Pod[] }).pods
}

async function readyPod(podName: string): Promise<Pod> {
  return await vi.waitFor(async () => {
    const pod = (await pods()).find((pod) => pod.name === podName)
    expect(pod).toMatchObject({ ready: true })
    return pod!
  }, { timeout: 20_000, interval: 200 })
}

function podOn(node: string, podName: string, more: object = {}): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: podName }, spec: { nodeName: node, terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image: 'echo' }], ...more } })
}

/** Namespaces, records and processes on the machine that bear the lab's name. */
function traces(labName: string): string[] {
  const namespaces = readdirSync('/run/netns').filter((entry) => entry.startsWith(`flab-${labName}-`) && !(labName === name && entry.startsWith(`flab-${other}-`)))
  const processes = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry) && commandLine(entry).includes(`--name ${labName} `))
  return [...namespaces, ...processes.map((pid) => `process ${pid}: ${commandLine(pid)}`), ...(existsSync(`/run/flab/${labName}`) ? [`/run/flab/${labName}`] : [])]
}

function commandLine(pid: string): string {
  try {
    return `${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')} `
  } catch {
    return ''
  }
}

/** Pids on the machine of a node's processes whose command line holds the text. */
function pidsWith(...texts: string[]): number[] {
  return readdirSync('/proc').filter((entry) => /^\d+$/.test(entry) && texts.every((text) => commandLine(entry).includes(text))).map(Number)
}

describeKernel('lab', () => {
  beforeAll(async () => await succeed(['up', '--nodes', '2']), 90_000)
  afterAll(async () => {
    for (const labName of [name, other]) await lab(['down'], { in: labName })
  }, 60_000)

  test('pods on two nodes reach each other and see each other as they are', async () => {
    await succeed(['apply', '-f', '-'], { input: `${podOn('node1', 'one')}\n---\n${podOn('node2', 'two')}\n` })
    const [one, two] = [await readyPod('one'), await readyPod('two')]
    const answer = JSON.parse(await succeed(['exec', 'one', '--', process.execPath, echo, 'ask', two.address, '8080/TCP'])) as Answer
    expect(answer).toMatchObject({ pod: 'two', node: 'node2' })
    expect(answer.client).toMatch(new RegExp(`^${one.address}:`))
  })

  test('a command in a pod keeps its exit code, and finds the pod\'s name and name server', async () => {
    const { exitCode, stdout } = await lab(['exec', 'one', '--', 'sh', '-c', 'echo $POD_NAME on $NODE_NAME; cat /etc/resolv.conf; exit 7'])
    expect(exitCode).toBe(7)
    expect(stdout).toMatch(/^one on node1\n/)
    expect(stdout).toContain('nameserver 10.254.0.2')
  })

  test('what is asked wrongly is told in one sentence, with exit code 2; what is not there, with 1', async () => {
    expect(await lab(['up', '--family', 'ipv6'])).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(/^error: --family ipv6 is not there yet/) as string })
    expect(await lab(['up', '--control-plane', 'envtest'])).toMatchObject({ exitCode: 2 })
    expect(await lab(['node', 'nodeX', '--', 'true'])).toMatchObject({ exitCode: 2 })
    expect(await lab(['exec', 'nobody', '--', 'true'])).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('runs a pod default/nobody') as string })
    expect(await lab(['status'], { in: 'ft-no-such-lab' })).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('there is no lab ft-no-such-lab') as string })
  })

  test('a pod that ends is seen to have ended, and a deleted one leaves nothing on its node', async () => {
    const ending = podOn('node2', 'ending', { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x', command: ['sh', '-c', 'exit 3'] }] })
    await succeed(['apply', '-f', '-'], { input: ending })
    await vi.waitFor(async () => expect((await pods()).find((pod) => pod.name === 'ending')).toMatchObject({ phase: 'Failed' }), { timeout: 20_000, interval: 200 })
    await succeed(['delete', '-f', '-'], { input: `${ending}\n---\n${podOn('node2', 'two')}` })
    expect((await pods()).map((pod) => pod.name)).toEqual(['one'])
    expect(await succeed(['node', 'node2', '--', 'ls', '/run/netns', '/etc/netns', '/run/fairlead/attachments'])).toBe('/etc/netns:\n\n/run/fairlead/attachments:\n\n/run/netns:')
  })

  test('a kubelet that is killed comes back, runs its pods anew and leaves none of the old ones', async () => {
    const { address } = await readyPod('one')
    const [kubelet] = pidsWith('fairlead.mjs lab kubelet', `--name ${name} --node node1 `).toReversed()
    process.kill(kubelet!, 'SIGKILL')
    await vi.waitFor(async () => expect((await readyPod('one')).address).not.toBe(address), { timeout: 30_000, interval: 200 })
    expect((await succeed(['node', 'node1', '--', 'ls', '/run/netns'])).split('\n')).toHaveLength(1)
    expect(Number(await succeed(['node', 'node1', '--', 'sh', '-c', 'ps ax | grep -c "[e]cho.mjs"']))).toBe(1)
  })

  test('nothing is left after down, though a node and the control plane were killed, and the machine never had a part in it', async () => {
    await succeed(['up', '--nodes', '1'], { in: other })
    expect(traces(other)).not.toEqual([])
    process.kill(Number(readFileSync(`/run/flab/${name}/nodes/node2/pid`, 'utf8')), 'SIGKILL')
    process.kill(Number(readFileSync(`/run/flab/${name}/control.pid`, 'utf8')), 'SIGKILL')
    await succeed(['down'])
    expect(traces(name).filter((trace) => !trace.includes(other))).toEqual([])
    // The other lab has the same addresses and never noticed.
    await succeed(['status'], { in: other })
    await succeed(['down'], { in: other })
    expect(traces(other)).toEqual([])
    expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain('flab')
    expect(nodePaths.map((path) => existsSync(path))).toEqual(before)
  })
})
