// A cluster on kernels without br_netfilter: pods hold their address alone, everything between them is routed, and the whole tour passes as it does elsewhere.
import { expect, test } from 'vitest'
import { describeKernel } from './scratch.ts'
import { TestLab } from './test-lab.ts'

describeKernel('a lab without br_netfilter', () => {
  test('gives pods a /32, routes between those of one node, and passes the tour', async () => {
    await using lab = new TestLab(`ft-routed-${process.pid}`)
    await lab.succeed(['up', '--nodes', '2', '--without-br-netfilter'])
    const tour = JSON.parse(await lab.succeed(['tour', '-o', 'json'])) as { title: string; ok: boolean; exhibits?: { lines: string[] }[] }[]
    expect(tour.filter(({ ok }) => !ok)).toEqual([])
    const wires = tour.flatMap(({ exhibits = [] }) => exhibits.flatMap(({ lines }) => lines)).filter((line) => line.startsWith('eth0'))
    expect(wires.length).toBeGreaterThan(0)
    expect(wires.filter((line) => !/ 172\.30\.\d+\.\d+\/32( |$)/.test(line))).toEqual([])
    expect((await lab.run(['node', 'node1', '--', 'ls', '/proc/sys/net/bridge'])).stdout).toBe('')
  }, 180_000)
})
