import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { expect, onTestFinished, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { configKeys } from './config-keys.ts'
import { ConfigError, flagName, loadConfig, variableName } from './config.ts'

function file(content: string): string {
  const dir = mkdtempSync(`${tmpdir()}/fairlead-config-`)
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const path = `${dir}/config.yaml`
  writeFileSync(path, content)
  return path
}

function load(options: { file?: string; flags?: Record<string, unknown>; environment?: NodeJS.ProcessEnv }) {
  return loadConfig({ file: options.file, flags: options.flags ?? {}, environment: options.environment ?? {} })
}

test('nothing given: every key has its default', () => {
  expect(load({})).toMatchObject({
    overlay: 'vxlan',
    vni: 1,
    vxlanPort: 8472,
    vxlanDevice: 'fairlead.1',
    mtu: 'auto',
    bridge: 'cni0',
    masquerade: true,
    nonMasqueradeCIDRs: [],
    takeOver: false,
  })
})

test('a flag wins over a variable, and a variable over the file', () => {
  const path = file('vni: 7\nvxlanPort: 4789\noverlay: direct\n')
  const environment = { FAIRLEAD_VXLAN_PORT: '4790', FAIRLEAD_OVERLAY: 'auto' }
  expect(load({ file: path, environment, flags: { overlay: 'vxlan' } })).toMatchObject({
    vni: 7,
    vxlanPort: 4790,
    overlay: 'vxlan',
  })
})

test('text from variables becomes the same values as YAML', () => {
  const environment = {
    FAIRLEAD_MASQUERADE: 'false',
    FAIRLEAD_MTU: '1400',
    FAIRLEAD_NON_MASQUERADE_CIDRS: '10.0.0.0/8,192.168.0.0/16',
  }
  const path = file('masquerade: false\nmtu: 1400\nnonMasqueradeCIDRs: [10.0.0.0/8, 192.168.0.0/16]\n')
  expect(load({ environment })).toEqual(load({ file: path }))
})

test('a key of the file without a value has its default', () => {
  expect(load({ file: file('overlay:\nvni: null\nnonMasqueradeCIDRs: ~\nmtu: 1400\n') })).toEqual(
    load({ file: file('mtu: 1400\n') }),
  )
})

test('flags and variables are spelled from the key', () => {
  expect([flagName('nonMasqueradeCIDRs'), variableName('nonMasqueradeCIDRs'), flagName('vxlanPort')]).toEqual([
    '--non-masquerade-cidrs',
    'FAIRLEAD_NON_MASQUERADE_CIDRS',
    '--vxlan-port',
  ])
})

test.each([
  ['vxlanprot: 1', 'did you mean `vxlanPort`?'],
  ['vni: 16777216', 'to be a whole number from 1 to 16777215, got `16777216`'],
  ['vxlanDevice: a-name-that-is-far-too-long', 'to be an interface name of 1 to 15'],
  ['nonMasqueradeCIDRs: [10.0.0.1/8]', 'to be a CIDR without host bits'],
  ['overlay: wireguard', 'to be vxlan, direct, auto or none, got `"wireguard"`'],
  ['masquerade: 1', 'to be true or false, got `1`'],
  ['stateDir: run', 'to be an absolute path'],
  ['- a', 'to hold keys and values, got `["a"]`'],
  ['a: [', 'Cannot read the configuration'],
])('the file %j is refused in one sentence', (content, sentence) => {
  const path = file(content)
  expect(() => load({ file: path })).toThrow(ConfigError)
  expect(() => load({ file: path })).toThrow(sentence)
})

test('an unknown variable names the nearest known one', () => {
  expect(() => load({ environment: { FAIRLEAD_OVERLY: 'direct' } })).toThrow(
    'Unknown variable FAIRLEAD_OVERLY; did you mean `FAIRLEAD_OVERLAY`?',
  )
})

test('the variables of a Service named fairlead are none of ours', () => {
  const environment = {
    FAIRLEAD_SERVICE_HOST: '10.96.0.9',
    FAIRLEAD_SERVICE_PORT_METRICS: '10249',
    FAIRLEAD_PORT: 'tcp://10.96.0.9:10249',
    FAIRLEAD_PORT_10249_TCP_ADDR: '10.96.0.9',
  }
  expect(load({ environment })).toEqual(load({}))
})

test('the ConfigMap in deploy/ shows each key with its meaning and default, and sets none', async () => {
  const options = Object.entries(configKeys).map(([key, { schema, help }]) =>
    `    # ${help}\n    #${key}: ${inYaml(schema.safeParse(undefined).data)}`.trimEnd(),
  )
  const text = `${configMapHead}${options.join('\n')}\n`
  await expect(text).toMatchFileSnapshot('../../deploy/base/config.yaml')
  const { data } = parse(text) as { data: { 'config.yaml': string } }
  expect(load({ file: file(data['config.yaml']) })).toEqual(load({}))
  const defaultsGiven = data['config.yaml'].replaceAll(/^#(?=\w+: )/gm, '')
  expect(load({ file: file(defaultsGiven) })).toEqual(load({}))
})

const configMapHead = `# Options of the agents. Take the # from the start of a line to set one; what the DaemonSet's environment sets holds all the same.
# The lines come from src/agent/config-keys.ts, by \`npm run golden:update\`.
apiVersion: v1
kind: ConfigMap
metadata:
  name: fairlead
data:
  config.yaml: |
`

function inYaml(value: unknown): string {
  return value === undefined ? '' : stringify(value, { collectionStyle: 'flow' }).trim()
}

test('docs/operations.md has a row for each key, with its default and meaning', () => {
  const page = readFileSync(`${import.meta.dirname}/../../docs/operations.md`, 'utf8')
  for (const [key, { schema, help }] of Object.entries(configKeys)) {
    const standard = schema.safeParse(undefined).data
    const shown =
      standard === undefined ? '' : `\`${Array.isArray(standard) ? JSON.stringify(standard) : String(standard)}\``
    expect(page).toContain(`| \`${key}\` | ${shown} | ${help} |`)
  }
})
