// What happens to a running agent's own things: its files, its clock, its place as the only one of its node.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { AgentMachine } from './agent-machine.ts'
import { describeKernel } from './scratch.ts'

const eventually = { timeout: 60_000, interval: 100 }

describeKernel('a running agent', () => {
  test('whose /run is wiped puts lock, socket, attachments and conflist back, and serves on', async () => {
    await using machine = await AgentMachine.start()
    machine.startAgent()
    await machine.ready()
    await machine.addPodNamespace('p1')
    const added = await machine.cni('ADD', { containerId: 'p1', netns: 'p1' })
    await machine.succeed('sh', ['-c', `rm -rf /run/fairlead ${machine.dir}/net.d`])
    await vi.waitFor(async () => {
      expect(
        await machine.succeed('ls', ['/run/fairlead', '/run/fairlead/attachments', `${machine.dir}/net.d`]),
      ).toMatch(/attachments\ncni\.sock\nlock\n[^]*\.json\n[^]*05-fairlead\.conflist/)
    }, eventually)
    expect(machine.log.find(({ restored }) => restored !== undefined)).toMatchObject({
      level: 40,
      restored: ['lock', 'attachments', 'cni.sock'],
      msg: '/run/fairlead was emptied by another program: lock, attachments, cni.sock put back',
    })
    expect(await machine.cni('ADD', { containerId: 'p1', netns: 'p1' })).toMatchObject({
      code: 0,
      document: { ips: added.document.ips },
    })
    // A restart finds all of it again.
    await machine.killAgent()
    machine.startAgent()
    await machine.ready()
    expect(
      await machine.cni('CHECK', { containerId: 'p1', netns: 'p1' }, { prevResult: added.document }),
    ).toMatchObject({ code: 0 })
    expect((await machine.cni('DEL', { containerId: 'p1', netns: 'p1' })).code).toBe(0)
  })

  test('refuses a second one in a sentence that names the lock, also when the lock file had been removed', async () => {
    await using machine = await AgentMachine.start()
    machine.startAgent()
    await machine.ready()
    const second = (): Promise<{ exitCode: number | null; stderr: string }> =>
      machine.run(join(import.meta.dirname, '../../bin/fairlead'), [
        'agent',
        '--node-name',
        'n1',
        '--kubeconfig',
        `${machine.dir}/admin.kubeconfig`,
        '--health-address',
        ':1',
        '--metrics-address',
        ':2',
      ])
    const refusal = {
      exitCode: 1,
      stderr: 'fairlead: Another fairlead agent runs on this node and holds /run/fairlead/lock; stop that one first\n',
    }
    expect(await second()).toMatchObject(refusal)
    await machine.succeed('rm', ['/run/fairlead/lock'])
    await vi.waitFor(
      () => expect(machine.log.some(({ restored }) => restored?.includes('lock'))).toBe(true),
      eventually,
    )
    expect(await second()).toMatchObject(refusal)
    expect((await machine.cni('STATUS')).code).toBe(0)
  })

  test('keeps its measure of time when the clock is set forwards and back', async () => {
    await using machine = await AgentMachine.start()
    const offset = join(machine.dir, 'clock-offset')
    const setClock = (ms: number): void => writeFileSync(offset, String(ms))
    setClock(0)
    const shifted = `import{readFileSync}from'node:fs';const real=Date;const now=()=>real.now()+Number(readFileSync('${offset}','utf8'));globalThis.Date=class extends real{constructor(...a){super(...(a.length?a:[now()]))}static now(){return now()}}`
    machine.startAgent({ env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(shifted)}` } })
    await machine.ready()
    const resting = async (): Promise<number> => Number(/state="resting"\} (\d+)/.exec(await machine.metrics())?.[1])
    await machine.addPodNamespace('p1')
    await machine.cni('ADD', { containerId: 'p1', netns: 'p1' })
    await machine.cni('DEL', { containerId: 'p1', netns: 'p1' })
    setClock(86_400_000)
    // Far more than the 30 s that an address rests; that the agent believes it is shown by its log, in the end.
    expect(await resting()).toBe(1)
    setClock(-86_400_000)
    expect(await resting()).toBe(1)
    expect((await machine.cni('ADD', { containerId: 'p2', netns: 'p1' })).code).toBe(0)
    await machine.succeed('ip', ['link', 'del', 'fairlead.1'])
    await vi.waitFor(
      async () => expect(await machine.succeed('ip', ['-br', 'link'])).toContain('fairlead.1'),
      eventually,
    )
    await machine.succeed('iptables', ['-t', 'nat', '-F'])
    await vi.waitFor(
      async () =>
        expect(await machine.succeed('iptables', ['-t', 'nat', '-S', 'POSTROUTING'])).toContain('FAIRLEAD-EGRESS'),
      eventually,
    )
    expect(Math.min(...machine.log.map((line) => (line as { time?: number }).time ?? Infinity))).toBeLessThan(
      Date.now() - 80_000_000,
    )
  })
})
