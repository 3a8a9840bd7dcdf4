import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { configKeys } from './config-keys.ts'
import { loadConfig } from './config.ts'
import { LiveConfig } from './live-config.ts'

function start(content: string) {
  const dir = mkdtempSync(join(tmpdir(), 'fairlead-live-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const file = join(dir, 'config.yaml')
  const write = (name: string, text: string): void => {
    writeFileSync(join(dir, `${name}.new`), text)
    renameSync(join(dir, `${name}.new`), join(dir, name))
  }
  write('config.yaml', content)
  const said: string[] = []
  const log = pino(
    { base: null, timestamp: false },
    { write: (line) => said.push((JSON.parse(line) as { msg: string }).msg) },
  )
  const load = () => loadConfig({ file, flags: {}, environment: {} })
  const live = new LiveConfig({ config: load(), load, file, log })
  let told = 0
  live.onChange(() => told++)
  return {
    live,
    dir,
    told: () => told,
    said: () => said.splice(0),
    change: (text: string, name = 'config.yaml') => {
      write(name, text)
      live.look()
    },
  }
}

test('what can be followed is in force at once and said once', () => {
  const { live, change, said, told } = start('mtu: 1400\n')
  change('mtu: 1300\nmasquerade: false\n')
  expect(live.current).toMatchObject({ mtu: 1300, masquerade: false })
  expect([said(), told()]).toEqual([['the configuration has changed: mtu is 1300 now, masquerade is false now'], 1])
  live.look()
  expect([said(), told()]).toEqual([[], 1])
})

test('what waits for a restart is told of until it is taken back; the rest of the change is followed', () => {
  const { live, change, said } = start('')
  change('bridge: br0\nmtu: 1300\n')
  expect(live.current).toMatchObject({ bridge: 'cni0', mtu: 1300 })
  const sentence = 'Option bridge is br0 now and cni0 in force: it changes when the agent is restarted'
  expect(said()).toEqual([sentence, 'the configuration has changed: mtu is 1300 now'])
  change('mtu: 1300\n')
  expect(said()).toEqual([`no longer: ${sentence}`])
})

test('a configuration that cannot be used changes nothing, and says why until it is put right', () => {
  const { live, change, said, told, dir } = start('mtu: 1300\n')
  change('mtu: many\n')
  const sentence = `The changed configuration is not used: Expected \`mtu\` in ${dir}/config.yaml to be auto or a whole number from 576 to 65535, got \`"many"\``
  expect([said(), live.current.mtu, told()]).toEqual([[sentence], 1300, 0])
  change('mtu: 1300\n')
  expect(said()).toEqual([`no longer: ${sentence}`])
})

test('a KubeProxyConfiguration is followed too', () => {
  const { live, change, said, dir } = start('')
  const proxy = (more: string) => `apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n${more}`
  writeFileSync(join(dir, 'proxy.yaml'), proxy(''))
  const load = () => loadConfig({ flags: { kubeProxyConfig: join(dir, 'proxy.yaml') }, environment: {} })
  const other = new LiveConfig({ config: load(), load, file: undefined, log: pino({ level: 'silent' }) })
  writeFileSync(join(dir, 'proxy.yaml'), proxy('clusterCIDR: 10.0.0.0/8\n'))
  other.look()
  expect(other.current.clusterCIDR).toHaveLength(1)
  change('masqueradeAll: true\n')
  expect([live.current.masqueradeAll, said()]).toEqual([
    true,
    ['the configuration has changed: masqueradeAll is true now'],
  ])
})

test('docs/operations.md names every option that is followed, and no other', () => {
  const page = readFileSync(`${import.meta.dirname}/../../docs/operations.md`, 'utf8')
  const named = /followed by a running agent: (.*?)\./.exec(page)?.[1]?.split(', ')
  expect(named).toEqual(
    Object.entries(configKeys)
      .filter(([, spec]) => 'live' in spec)
      .map(([key]) => `\`${key}\``),
  )
})
