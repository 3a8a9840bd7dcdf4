// The agent's configuration: defaults, then a KubeProxyConfiguration, then the file, then FAIRLEAD_* variables, then
// flags; the last word wins.
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { parse as parseYaml } from 'yaml'
import type * as z from 'zod'
import { type ConfigKey, configKeys } from './config-keys.ts'
import type { Setting } from './config-setting.ts'
import { isKubeProxyConfig, kubeProxySettings } from './kube-proxy-config.ts'

export type AgentConfig = { readonly [K in ConfigKey]: z.output<(typeof configKeys)[K]['schema']> } & {
  readonly nodeName: string
  /** What was given and has no meaning here: one sentence each. */
  readonly warnings: readonly string[]
}

/** A wrong option: one sentence that says what, where, and what to do. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

export interface ConfigSources {
  /** Path of a YAML or JSON file. */
  readonly file?: string | undefined
  /** As commander gives them: camel-cased names of the flags. */
  readonly flags: Readonly<Record<string, unknown>>
  readonly environment: NodeJS.ProcessEnv
}

/** @throws {ConfigError} for an unreadable file, an unknown key or a value of the wrong kind, wherever it was given. */
export function loadConfig(sources: ConfigSources): AgentConfig {
  const layers = [
    ...(sources.file === undefined ? [] : [fileLayer(sources.file)]),
    environmentLayer(sources.environment),
    flagLayer(sources.flags),
  ]
  const kubeProxy = kubeProxyLayer(layers.flat().findLast(({ key }) => key === 'kubeProxyConfig'))
  const given = new Map<string, Setting>(
    [kubeProxy.settings, ...layers].flatMap((layer) => layer.map((setting) => [setting.key, setting])),
  )
  const entries = keyNames.map((key) => [key, parseSetting(key, given.get(key))])
  const config = Object.fromEntries(entries) as AgentConfig
  return { ...config, nodeName: config.nodeName ?? hostname().toLowerCase(), warnings: kubeProxy.warnings }
}

/** `vxlanPort` is the flag `--vxlan-port`. */
export function flagName(key: string): string {
  return `--${words(key).join('-')}`
}

/** `vxlanPort` is the variable FAIRLEAD_VXLAN_PORT. */
export function variableName(key: string): string {
  return `FAIRLEAD_${words(key).join('_').toUpperCase()}`
}

const keyNames = Object.keys(configKeys) as ConfigKey[]

function fileLayer(file: string): Setting[] {
  const content = readConfigFile(file)
  const settings = Object.entries(content).map(([key, value]) => ({
    key: knownKey(key, keyNames, (k) => k, `key \`${key}\` in ${file}`),
    value,
    source: `\`${key}\` in ${file}`,
  }))
  // `overlay:` without a value is null in YAML.
  return settings.filter(({ value }) => value !== null)
}

/** Below all else: what is said to Fairlead itself wins. */
function kubeProxyLayer(named: Setting | undefined): { settings: readonly Setting[]; warnings: readonly string[] } {
  if (named === undefined) return { settings: [], warnings: [] }
  const file = String(parseSetting('kubeProxyConfig', named))
  const content = readConfigFile(file)
  if (!isKubeProxyConfig(content))
    throw new ConfigError(
      `Expected ${file} (${named.source}) to be a KubeProxyConfiguration of kubeproxy.config.k8s.io/v1alpha1, got \`${String(content['apiVersion'])} ${String(content['kind'])}\``,
    )
  return kubeProxySettings(content, file)
}

function readConfigFile(file: string): Record<string, unknown> {
  let content: unknown
  try {
    content = parseYaml(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new ConfigError(
      `Cannot read the configuration ${file}: ${(error as Error).message.split('\n')[0]}; correct the file or name another`,
      { cause: error },
    )
  }
  if (content === null) return {}
  if (typeof content !== 'object' || Array.isArray(content))
    throw new ConfigError(
      `Expected ${file} to hold keys and values, got \`${JSON.stringify(content).slice(0, 40)}\`; write lines such as \`overlay: vxlan\``,
    )
  return content as Record<string, unknown>
}

function environmentLayer(environment: NodeJS.ProcessEnv): Setting[] {
  return Object.entries(environment)
    .filter(([name]) => name.startsWith('FAIRLEAD_') && !notOptions.has(name) && !serviceLink.test(name))
    .map(([name, value]) => ({ key: knownKey(name, keyNames, variableName, `variable ${name}`), value, source: name }))
}

/** Variables of ours that are not options of the agent: the CNI binary's socket, and the long test runs. */
const notOptions = new Set(['FAIRLEAD_SOCKET', 'FAIRLEAD_LONG'])
/** What Kubernetes puts into every pod of a namespace that has a Service named fairlead. */
const serviceLink = /^FAIRLEAD_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_.+)?)$/

function flagLayer(flags: Readonly<Record<string, unknown>>): Setting[] {
  return keyNames
    .filter((key) => flags[key] !== undefined)
    .map((key) => ({ key, value: flags[key], source: flagName(key) }))
}

function knownKey(
  name: string,
  keys: readonly ConfigKey[],
  spell: (key: ConfigKey) => string,
  what: string,
): ConfigKey {
  const found = keys.find((key) => spell(key) === name)
  if (found !== undefined) return found
  const nearest = keys.toSorted((a, b) => editDistance(name, spell(a)) - editDistance(name, spell(b)))[0] ?? 'nodeName'
  throw new ConfigError(`Unknown ${what}; did you mean \`${spell(nearest)}\`?`)
}

function parseSetting(key: ConfigKey, setting: Setting | undefined): unknown {
  const parsed = configKeys[key].schema.safeParse(setting?.value)
  if (parsed.success) return parsed.data
  const expected = parsed.error.issues[0]?.message ?? 'something else'
  throw new ConfigError(
    `Expected ${setting?.source ?? `\`${key}\``} to be ${expected}, got \`${JSON.stringify(setting?.value)}\``,
  )
}

function words(key: string): string[] {
  return key
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(' ')
}

/** Levenshtein distance, case ignored. */
function editDistance(a: string, b: string): number {
  const [from, to] = [a.toLowerCase(), b.toLowerCase()]
  let row = Array.from({ length: to.length + 1 }, (_, i) => i)
  for (const [i, character] of from.split('').entries()) {
    const next = [i + 1]
    for (let j = 1; j <= to.length; j++)
      next.push(
        Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (character === to[j - 1] ? 0 : 1)),
      )
    row = next
  }
  return row.at(-1) ?? 0
}
