// The lab through its own command line: what a newcomer types, and what is left afterwards.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { describeKernel } from './scratch.ts'
import { echoPod, TestLab } from './test-lab.ts'

const name = `ft-lab-${process.pid}`
const other = `${name}-other`
const main = new TestLab(name)
const second = new TestLab(other)
/** What a real node has; on this machine it has to stay as it is. */
const nodePaths = ['/etc/cni', '/opt/cni', '/var/lib/cni', '/etc/netns', '/run/fairlead']
const before = nodePaths.map((path) => existsSync(path))

/** Namespaces, records and processes on the machine that bear the lab's name. */
function traces(labName: string): string[] {
  const namespaces = readdirSync('/run/netns').filter(
    (entry) => entry.startsWith(`flab-${labName}-`) && !(labName === name && entry.startsWith(`flab-${other}-`)),
  )
  const processes = readdirSync('/proc').filter(
    (entry) => /^\d+$/.test(entry) && commandLine(entry).includes(`--name ${labName} `),
  )
  return [
    ...namespaces,
    ...processes.map((pid) => `process ${pid}: ${commandLine(pid)}`),
    ...(existsSync(`/run/flab/${labName}`) ? [`/run/flab/${labName}`] : []),
  ]
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
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && texts.every((text) => commandLine(entry).includes(text)))
    .map(Number)
}

describeKernel('lab', () => {
  beforeAll(async () => await main.succeed(['up', '--nodes', '2']))
  afterAll(async () => {
    for (const lab of [main, second]) await lab[Symbol.asyncDispose]()
  })

  test('pods on two nodes reach each other and see each other as they are', async () => {
    await main.apply(echoPod('one', 'node1'), echoPod('two', 'node2'))
    const [one, two] = [await main.readyPod('one'), await main.readyPod('two')]
    const [answer] = await main.ask('one', [`${two.address} 8080/TCP`])
    expect(answer).toMatchObject({ pod: 'two', node: 'node2' })
    expect(answer!.client).toMatch(new RegExp(`^${one.address}:`))
  })

  test('the doctor finds nothing on a healthy node, and on a damaged one the damage and its remedy', async () => {
    const doctor = async (): ReturnType<TestLab['run']> => await main.run(['node', 'node1', '--', 'fairlead', 'doctor'])
    await vi.waitFor(
      async () => {
        const { exitCode, stdout } = await doctor()
        expect([exitCode, stdout.split('\n').filter((line) => !line.startsWith('ok '))]).toEqual([0, []])
      },
      { timeout: 60_000 },
    )
    // No agent deletes another's rule.
    const rule = ['-s', '172.16.0.0/12', '-j', 'DROP']
    const onNode = async (...command: string[]): Promise<string> =>
      await main.succeed(['node', 'node1', '--', 'iptables', '-w', ...command])
    await onNode('-I', 'FORWARD', ...rule)
    const damaged = await doctor()
    await onNode('-D', 'FORWARD', ...rule)
    expect([damaged.exitCode, damaged.stdout.split('\n').filter((line) => !line.startsWith('ok '))]).toEqual([
      1,
      [
        expect.stringMatching(
          /^FAILED {2}FORWARD +seen as: pods that lose everything once Docker or a firewall has started$/,
        ),
        '        FORWARD of iptables-nft has `-A FORWARD -s 172.16.0.0/12 -j DROP` before FAIRLEAD-FORWARD',
        expect.stringMatching(
          /^ {8}-> iptables-nft -D FORWARD -s 172\.16\.0\.0\/12 -j DROP, and make the program that adds it append it,/,
        ),
      ],
    ])
  })

  test("a command in a pod keeps its exit code, and finds the pod's name and name server", async () => {
    const { exitCode, stdout } = await main.run([
      'exec',
      'one',
      '--',
      'sh',
      '-c',
      'echo $POD_NAME on $NODE_NAME; cat /etc/resolv.conf; exit 7',
    ])
    expect(exitCode).toBe(7)
    expect(stdout).toMatch(/^one on node1\n/)
    expect(stdout).toContain('nameserver 10.254.0.2')
  })

  test('what is asked wrongly is told in one sentence, with exit code 2; what is not there, with 1', async () => {
    expect(await main.run(['up', '--family', 'ipv6'])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/^error: --family ipv6 is not there yet/) as string,
    })
    expect(await main.run(['node', 'nodeX', '--', 'true'])).toMatchObject({ exitCode: 2 })
    expect(await main.run(['exec', 'nobody', '--', 'true'])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('runs a pod default/nobody') as string,
    })
    expect(await new TestLab('ft-no-such-lab').run(['status'])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('there is no lab ft-no-such-lab') as string,
    })
  })

  test('a pod that ends is seen to have ended, and a deleted one leaves nothing on its node', async () => {
    const ending = echoPod('ending', 'node2', {
      restartPolicy: 'Never',
      containers: [{ name: 'c', image: 'x', command: ['sh', '-c', 'exit 3'] }],
    })
    await main.apply(ending)
    await vi.waitFor(
      async () => expect((await main.pods()).find((pod) => pod.name === 'ending')).toMatchObject({ phase: 'Failed' }),
      { timeout: 60_000, interval: 200 },
    )
    await main.delete(ending, echoPod('two', 'node2'))
    expect((await main.pods()).map((pod) => pod.name)).toEqual(['one'])
    expect(
      await main.succeed(['node', 'node2', '--', 'ls', '/run/netns', '/etc/netns', '/run/fairlead/attachments']),
    ).toBe('/etc/netns:\n\n/run/fairlead/attachments:\n\n/run/netns:')
  })

  test('a kubelet that is killed comes back, runs its pods anew and leaves none of the old ones', async () => {
    const { address } = await main.readyPod('one')
    const [kubelet] = pidsWith('fairlead.mjs lab kubelet', `--name ${name} --node node1 `).toReversed()
    process.kill(kubelet!, 'SIGKILL')
    await vi.waitFor(async () => expect((await main.readyPod('one')).address).not.toBe(address), {
      timeout: 60_000,
      interval: 200,
    })
    expect((await main.succeed(['node', 'node1', '--', 'ls', '/run/netns'])).split('\n')).toHaveLength(1)
    expect(Number(await main.succeed(['node', 'node1', '--', 'sh', '-c', 'ps ax | grep -c "[e]cho.mjs"']))).toBe(1)
  })

  test('nothing is left after down, though a node and the control plane were killed, and the machine never had a part in it', async () => {
    await second.succeed(['up', '--nodes', '1'])
    expect(traces(other)).not.toEqual([])
    process.kill(Number(readFileSync(`/run/flab/${name}/nodes/node2/pid`, 'utf8')), 'SIGKILL')
    process.kill(Number(readFileSync(`/run/flab/${name}/control.pid`, 'utf8')), 'SIGKILL')
    await main.succeed(['down'])
    expect(traces(name).filter((trace) => !trace.includes(other))).toEqual([])
    // The other lab has the same addresses and never noticed.
    await second.succeed(['status'])
    await second.succeed(['down'])
    expect(traces(other)).toEqual([])
    // By name: other files' labs run at the same time, and their namespaces are mounts of the machine.
    expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(`flab-${name}-`)
    expect(nodePaths.map((path) => existsSync(path))).toEqual(before)
  })
})
