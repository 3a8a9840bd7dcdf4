// Walks a packet through one hook of one iptables table, and explains what the live rules do with it.
import type { IptablesTable } from '../../iptables/iptables.ts'
import { type MetRule, type RuleWalk, type RuleWay, walkRules } from '../../iptables/interpreter.ts'
import { parseRule, ruleTexts } from '../../iptables/parse-rule.ts'
import { commentOf, formatRule, type Rule } from '../../iptables/rule.ts'
import type { Family } from '../../net/address.ts'
import type { Flow, LocalNode } from './flow.ts'
import type { Broken, Hop } from './hop.ts'
import { ask, type TraceWalk } from './question.ts'

export type Hook = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING'

/** Evaluates the rules of a hook. Reads only the chains that the packet passes. */
export function* walkHook(flow: Flow, table: IptablesTable, hook: Hook, outDevice?: string): TraceWalk<RuleWalk> {
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

/** Returns the likeliest way through a hook; in tables without random choices it is the only one. */
export function likeliestWay({ ways }: RuleWalk): RuleWay {
  return ways.reduce((best, way) => (way.chance > best.chance ? way : best))
}

/**
 * Lists a hop for each rule that changed or decided something, after those whose condition the interpreter does not
 * know.
 */
export function ruleHops(
  local: LocalNode,
  { family }: Flow,
  table: IptablesTable,
  { met, end }: RuleWay,
  doubtful: readonly MetRule[] = [],
): Hop[] {
  const stopped = end.kind === 'drop' || end.kind === 'reject'
  const shown = met.filter((rule, i) => i === met.length - 1 || !isEntryJump(rule))
  const hopOf = (rule: MetRule): Hop => ({
    at: `${table} ${rule.chain}`,
    object: textOf(rule),
    command: `${local.iptables[family]} -t ${table} -S ${rule.chain}`,
  })
  const doubts = doubtful.map((rule) => ({
    ...hopOf(rule),
    note: 'its condition is not understood here, and taken as not met',
  }))
  const hops = shown.map((rule, i) => ({
    ...hopOf(rule),
    ...(recordsClient(rule) ? { note: 'affinity: from now on this client comes back here' } : {}),
    ...(stopped && i === shown.length - 1
      ? { broken: brokenBy(local, family, table, rule, end.kind === 'reject') }
      : {}),
  }))
  return [...doubts, ...hops]
}

/** Whether the rule jumps from a built-in chain to one of ours or kube-proxy's, which decides nothing yet. */
function isEntryJump({ chain, rule }: MetRule): boolean {
  return /^[A-Z]+$/.test(chain) && /^(KUBE|FAIRLEAD)-/.test(rule?.target?.name ?? '')
}

/** Whether the rule records the client for session affinity (`-m recent --set`). */
function recordsClient({ rule }: MetRule): boolean {
  const recent = rule?.matches.find(({ module }) => module === 'recent')
  return recent?.options.some(({ name }) => name === '--set') === true
}

function textOf({ chain, rule }: MetRule): string {
  return rule === undefined ? `-P ${chain} DROP` : `-A ${chain} ${formatRule(rule)}`
}

/** Explains the rule, or the chain policy, that stopped the packet. */
function brokenBy(
  local: LocalNode,
  family: Family,
  table: IptablesTable,
  { chain, rule }: MetRule,
  rejected: boolean,
): Broken {
  const iptables = local.iptables[family]
  const effect = rejected ? 'the client is refused' : 'the packet is dropped, and the client gets no answer'
  if (rule === undefined)
    return {
      problem: `no rule of chain ${chain} accepts the packet, and the chain's policy drops it`,
      remedy: `${iptables} -P ${chain} ACCEPT, or find out what set the policy`,
    }
  const comment = commentOf(rule)
  const [, namespace = '', service = '', lack] =
    /^([^/ ]+)\/([^: ]+)\S* (has no (?:local )?endpoints)$/.exec(comment) ?? []
  if (lack !== undefined) {
    const where = lack.includes('local') ? ' on this node' : ''
    const slices = `get endpointslices -l kubernetes.io/service-name=${service}`
    return {
      problem: `Service ${namespace}/${service} ${lack}: ${effect}`,
      remedy: `find out why no pod of it is ready${where}: kubectl -n ${namespace} ${slices}`,
    }
  }
  if (chain === 'KUBE-PROXY-FIREWALL')
    return {
      problem: `${comment === '' ? 'the load balancer' : comment.split(' ')[0]} does not allow this client: ${effect}`,
      remedy: 'add its address to spec.loadBalancerSourceRanges of the Service',
    }
  return {
    problem: `a rule of chain ${chain}${comment === '' ? '' : ` ("${comment}")`} stops it: ${effect}`,
    remedy: `if it should pass, change what made the rule: ${iptables} -t ${table} -S ${chain}`,
  }
}
