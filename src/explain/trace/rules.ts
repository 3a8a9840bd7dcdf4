// iptables, hook by hook: the live chains, as far as the packet meets them.
import type { IptablesTable } from '../../iptables/iptables.ts'
import { type MetRule, type RuleWalk, type RuleWay, walkRules } from '../../iptables/interpreter.ts'
import { parseRule, ruleTexts } from '../../iptables/parse-rule.ts'
import { commentOf, formatRule, type Rule } from '../../iptables/rule.ts'
import type { Flow, Here } from './flow.ts'
import type { Broken, Hop } from './hop.ts'
import { ask, type Walk } from './question.ts'

export type Hook = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING'

/** What becomes of the packet in one table of one hook. Reads the chains that it comes through, and no others. */
export function* walkHook(flow: Flow, table: IptablesTable, hook: Hook, outDevice?: string): Walk<RuleWalk> {
  const { family, source, destination, protocol, port, device: inDevice, mark, translated } = flow
  const own = new Set((yield* ask('links', {})).flatMap(({ addresses }) => addresses.map(({ address }) => address)))
  const packet = {
    source,
    destination,
    protocol,
    port,
    inDevice,
    outDevice,
    mark,
    translated,
    isOwn: (address: typeof source) => own.has(address) || address.startsWith('127.'),
  }
  const chains = new Map<string, readonly Rule[]>()
  let policy: 'accept' | 'drop' = 'accept'
  for (;;) {
    const walk = walkRules(chains, hook, packet, policy)
    if (walk.missing.size === 0) return walk
    const found = yield* ask('chains', { family, table, names: [...walk.missing] })
    if (found.get(hook)?.[0] === `-P ${hook} DROP`) policy = 'drop'
    for (const name of walk.missing) chains.set(name, ruleTexts(found.get(name) ?? []).map(parseRule))
  }
}

/** The way that a table leaves a packet which no dice are thrown for. */
export function onlyWay({ ways }: RuleWalk): RuleWay {
  return ways.reduce((best, way) => (way.chance > best.chance ? way : best))
}

/** One for each rule that did something, and for each of which nobody here can tell whether it does. */
export function ruleHops(
  here: Here,
  { family }: Flow,
  table: IptablesTable,
  { met, end }: RuleWay,
  doubtful: readonly MetRule[] = [],
): Hop[] {
  const stopped = end.kind === 'drop' || end.kind === 'reject'
  const telling = met.filter((rule, i) => i === met.length - 1 || !isPlainJump(rule))
  const hopOf = (rule: MetRule): Hop => ({
    at: `${table} ${rule.chain}`,
    object: textOf(rule),
    command: `${here.iptables[family]} -t ${table} -S ${rule.chain}`,
  })
  const doubts = doubtful.map((rule) => ({
    ...hopOf(rule),
    note: 'its condition is not understood here, and taken as not met',
  }))
  const hops = telling.map((rule, i) => ({
    ...hopOf(rule),
    ...(isRemembering(rule) ? { note: 'affinity: from now on this client comes back here' } : {}),
    ...(stopped && i === telling.length - 1
      ? { broken: brokenBy(here, family, table, rule, end.kind === 'reject') }
      : {}),
  }))
  return [...doubts, ...hops]
}

/** From a built-in chain to where things are decided. */
function isPlainJump({ chain, rule }: MetRule): boolean {
  return /^[A-Z]+$/.test(chain) && /^(KUBE|FAIRLEAD)-/.test(rule?.target?.name ?? '')
}

/** Whether it puts the client on the list of one endpoint. */
function isRemembering({ rule }: MetRule): boolean {
  const recent = rule?.matches.find(({ module }) => module === 'recent')
  return recent?.options.some(({ name }) => name === '--set') === true
}

export function percent(share: number): string {
  return `${Number((share * 100).toFixed(share < 0.1 ? 1 : 0))} %`
}

function textOf({ chain, rule }: MetRule): string {
  return rule === undefined ? `-P ${chain} DROP` : `-A ${chain} ${formatRule(rule)}`
}

function brokenBy(here: Here, family: 4 | 6, table: IptablesTable, rule: MetRule, refused: boolean): Broken {
  const comment = rule.rule === undefined ? '' : commentOf(rule.rule)
  const [, namespace = '', service = '', what] =
    /^([^/ ]+)\/([^: ]+)\S* (has no (?:local )?endpoints)$/.exec(comment) ?? []
  const fate = refused ? 'the client is refused' : 'the packet is dropped, and the client hears nothing'
  if (what !== undefined)
    return {
      problem: `Service ${namespace}/${service} ${what}: ${fate}`,
      remedy: `find out why no pod of it is ready${what.includes('local') ? ' on this node' : ''}: kubectl -n ${namespace} get endpointslices -l kubernetes.io/service-name=${service}`,
    }
  if (rule.chain === 'KUBE-PROXY-FIREWALL')
    return {
      problem: `${comment === '' ? 'the load balancer' : comment.split(' ')[0]} lets this client not in: ${fate}`,
      remedy: 'add its address to spec.loadBalancerSourceRanges of the Service',
    }
  if (rule.rule === undefined)
    return {
      problem: `no rule of chain ${rule.chain} accepts the packet, and the chain's policy drops it`,
      remedy: `${here.iptables[family]} -P ${rule.chain} ACCEPT, or find who set it so`,
    }
  return {
    problem: `a rule of chain ${rule.chain}${comment === '' ? '' : ` ("${comment}")`} stops it: ${fate}`,
    remedy: `if it should pass, change what made the rule: ${here.iptables[family]} -t ${table} -S ${rule.chain}`,
  }
}
