import { pino } from 'pino'
import { expect, test } from 'vitest'
import { CommandError } from '../kernel/command-error.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { parseInterfaceName } from '../net/interface-name.ts'
import { Policies } from './policies.ts'
import { ScratchCluster, wired } from './scratch-cluster.ts'

const local = { ...wired('shop/db', '10.244.1.6'), port: parseInterfaceName('veth0') }
const cluster = new ScratchCluster().namespace('shop').pod('shop/db', {}).policy('shop/deny', { podSelector: {} })

/** A node whose nft refuses what `refuses` says. */
function node(refuses: (text: string) => boolean) {
  const [taken, said]: [string[], string[]] = [[], []]
  const kernel = {
    applyNft: async (text: string): Promise<void> => {
      if (refuses(text))
        throw new CommandError({
          kind: 'other',
          command: 'nft -f -',
          stderr: 'Could not process rule: Operation not supported',
        })
      taken.push(text)
    },
  } as unknown as Kernel
  const policies = new Policies({
    kernel,
    log: pino({ level: 'warn' }, { write: (line) => void said.push((JSON.parse(line) as { msg: string }).msg) }),
  })
  policies.configure({ nodeName: 'n1', families: [4], judgeOpenConnections: true, log: undefined })
  return { policies, taken, said }
}

test('a kernel without nftables for bridges is said once, and policies are in force all the same', async () => {
  const { policies, taken, said } = node((text) => text.includes('bridge fairlead'))
  await policies.sync(cluster.snapshots, [local])
  await policies.sync(cluster.policy('shop/more', { podSelector: {}, ingress: [{}] }).snapshots, [local])
  expect(taken).toHaveLength(2)
  expect(taken.every((text) => text.includes('inet fairlead ingress4 { 10.244.1.6 : jump'))).toBe(true)
  expect(said).toEqual([expect.stringContaining('the kernel has no nftables for bridges')])
})

test('where it is something else that the kernel cannot, that is the error, and nothing is given up', async () => {
  let broken = true
  const { policies, taken, said } = node(() => broken)
  await expect(policies.sync(cluster.snapshots, [local])).rejects.toThrow('not supported')
  broken = false
  await policies.sync(cluster.snapshots, [local])
  expect(taken.join()).toContain('add table bridge fairlead')
  expect(said).toEqual([])
})
