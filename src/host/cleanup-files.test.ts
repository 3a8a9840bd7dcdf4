import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parseAddress } from '../net/address.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseInterfaceName } from '../net/interface-name.ts'
import { parseMac } from '../net/mac.ts'
import { encodeAttachment } from '../pods/attachment-codec.ts'
import { fileRemovals, removePath } from './cleanup-files.ts'

/** A node's directories, with an agent's files and one pod whose namespace lives or does not. */
function node({ living, others = [] }: { living: boolean; others?: readonly string[] }) {
  const root = mkdtempSync(join(tmpdir(), 'fairlead-cleanup-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  const record = encodeAttachment({
    network: 'fairlead',
    containerId: 'c',
    podInterface: parseInterfaceName('eth0'),
    hostInterface: parseInterfaceName('veth1'),
    netns: join(root, living ? 'state' : 'gone'),
    netnsId: undefined,
    addresses: [parseAddress('10.244.1.2')],
    podMac: parseMac('02:00:00:00:00:01'),
    mtu: 1450,
    pod: undefined,
    portMappings: [],
    bandwidth: undefined,
    createdAt: 0,
    podCidrs: [parseCidr('10.244.1.0/24')],
    routed: false,
  })
  const files = [
    'bin/fairlead-cni',
    'net.d/05-fairlead.conflist',
    'state/attachments/a.json',
    'state/attachments/b.json.unreadable',
    'state/lock',
    'state/resting.json',
    'state/withdrawn-udp-ipv4.json',
    ...others,
  ]
  for (const path of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), path === 'state/attachments/a.json' ? record : path)
  }
  symlinkSync('fairlead-cni', join(root, 'bin/loopback'))
  const removals = async (purge = false) => {
    const { paths, kept } = await fileRemovals(
      { stateDir: join(root, 'state'), cniConfDir: join(root, 'net.d'), cniBinDir: join(root, 'bin') },
      { purge },
    )
    return {
      paths: paths.map((path) => path.replace(`${root}/`, '')),
      kept: kept.map((sentence) => sentence.replaceAll(`${root}/`, '')),
    }
  }
  return { root, removals }
}

const plugin = ['net.d/05-fairlead.conflist', 'bin/loopback', 'bin/fairlead-cni']
const state = [
  'state/attachments/a.json',
  'state/attachments/b.json.unreadable',
  'state/attachments',
  'state/resting.json',
  'state/withdrawn-udp-ipv4.json',
  'state/lock',
  'state',
]

test('everything goes when no pod is left; what was planned can be removed in that order, and then nothing is planned', async () => {
  const { root, removals } = node({ living: false })
  const planned = await removals()
  expect(planned).toEqual({ paths: [...plugin, ...state], kept: [] })
  for (const path of planned.paths) removePath(join(root, path))
  expect([existsSync(join(root, 'state')), await removals()]).toEqual([false, { paths: [], kept: [] }])
})

test('while a pod lives and no other network is configured, what its deletion needs stays, with the record of it', async () => {
  const { removals } = node({ living: true, others: ['net.d/00-old.conf.set-aside-by-fairlead', 'net.d/readme.txt'] })
  const { paths, kept } = await removals()
  expect(paths).toEqual([
    'state/attachments/b.json.unreadable',
    'state/resting.json',
    'state/withdrawn-udp-ipv4.json',
    'state/lock',
  ])
  expect(kept).toHaveLength(2)
  expect(kept[0]).toMatch(
    /^net\.d\/05-fairlead\.conflist, bin\/loopback, bin\/fairlead-cni, state\/attachments stay: a pod of ours still has to be deleted .*\(--purge removes them now\)$/,
  )
  expect(kept[1]).toContain('net.d/00-old.conf.set-aside-by-fairlead stays: takeOver had set it aside')
})

test('with a successor, or with --purge, nothing waits for the pods', async () => {
  const succeeded = node({ living: true, others: ['net.d/10-flannel.conflist'] })
  expect(await succeeded.removals()).toEqual({ paths: [...plugin, ...state], kept: [] })
  expect(await node({ living: true }).removals(true)).toEqual({ paths: [...plugin, ...state], kept: [] })
})

test('what others have put there stays: a loopback plugin, files in the state directory', async () => {
  const { root, removals } = node({ living: false, others: ['state/notes.txt'] })
  rmSync(join(root, 'bin/loopback'))
  writeFileSync(join(root, 'bin/loopback'), 'of another')
  const { paths, kept } = await removals()
  expect(paths).not.toContain('bin/loopback')
  expect(paths).not.toContain('state')
  expect(kept).toEqual(['state stays: state/notes.txt is not ours'])
})
