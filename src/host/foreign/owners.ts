// Whose a thing is that stands on a node and is not ours: told by the names and kinds that each program gives to what
// it makes, and by nothing less (reference: pod network 2, 3 and 4.2; services 1.1 and 3.1).
import { ourGroup } from '../../kernel/kernel.ts'
import type { NftTable } from '../../kernel/nft-tables.ts'
import type { Link } from '../../kernel/observed.ts'
import type { IptablesTable } from '../../iptables/iptables.ts'
import { commentOf, optionOf, type Rule } from '../../iptables/rule.ts'
import { canary, isOurs } from '../../services/owner.ts'

/** `plugins`: the reference CNI plugins, which flannel and others have make their bridge, addresses and host ports. */
export type Owner = 'flannel' | 'kindnet' | 'kube-router' | 'kube-proxy' | 'plugins'

export const ownerNames: Readonly<Record<Owner, string>> = {
  flannel: 'flannel',
  kindnet: 'kindnet',
  'kube-router': 'kube-router',
  'kube-proxy': 'kube-proxy',
  plugins: 'the reference CNI plugins',
}

/** By /proc/PID/comm. The plugins run for a moment only. */
export const programsOf: Readonly<Record<string, Owner>> = {
  flanneld: 'flannel',
  kindnetd: 'kindnet',
  kindnet: 'kindnet',
  'kube-router': 'kube-router',
  'kube-proxy': 'kube-proxy',
}

/** kube-proxy's in mode ipvs; those that its other modes have too are in {@link isOurs}. */
const ipvsChains = [
  'KUBE-LOAD-BALANCER',
  'KUBE-NODE-PORT',
  'KUBE-SOURCE-RANGE-FIREWALL',
  'KUBE-IPVS-FILTER',
  'KUBE-IPVS-OUT-FILTER',
]
/** Kubelet's, whatever else runs. */
const kubeletChains = ['KUBE-FIREWALL', 'KUBE-KUBELET-CANARY', 'KUBE-IPTABLES-HINT', 'KUBE-MARK-DROP']

const chainPatterns: readonly (readonly [RegExp, Owner])[] = [
  [/^FLANNEL-(POSTRTG|FWD)$/, 'flannel'],
  [/^KIND-MASQ-AGENT$/, 'kindnet'],
  [/^KUBE-(ROUTER-[A-Z]+|POD-FW-[A-Z2-7]{16}|NWPLCY-([A-Z2-7]{16}|COMMON|DEFAULT))$/, 'kube-router'],
  [/^CNI-([0-9a-f]{24}|DN-[0-9a-f]{21}|HOSTPORT-(DNAT|SETMARK|MASQ)|FORWARD|ADMIN|ISOLATION-STAGE-[12])$/, 'plugins'],
]

export function chainOwner(table: IptablesTable, chain: string): Owner | undefined {
  if (chain === canary || (chain.startsWith('KUBE-') && (isOurs(table, chain) || ipvsChains.includes(chain))))
    return 'kube-proxy'
  return chainPatterns.find(([pattern]) => pattern.test(chain))?.[1]
}

/** Rules that kube-router puts into built-in chains without a chain of its own. */
export function isKubeRouterRule(rule: Rule): boolean {
  return (
    /^(inet6:)?kube-router-/.test(optionOf(rule, '--match-set') ?? '') ||
    optionOf(rule, '-i') === 'kube-bridge' ||
    optionOf(rule, '-o') === 'kube-bridge' ||
    commentOf(rule) === 'allow outbound node port traffic on node interface with which node ip is associated'
  )
}

/** Of a network, by its name, but of none that we know. */
export function isUnknownChain(chain: string): boolean {
  return /^(KUBE|CNI|FLANNEL|KIND|CILIUM|WEAVE|ANTREA|cali)[-_]/.test(chain) && !kubeletChains.includes(chain)
}

const vxlanName = /^flannel(-v6)?\.\d+$/
const linkPatterns: readonly (readonly [kinds: readonly string[], RegExp, Owner])[] = [
  [['vxlan'], vxlanName, 'flannel'],
  [['wireguard'], /^flannel-wg(-v6)?$/, 'flannel'],
  [['ipip'], /^flannel\.ipip$/, 'flannel'],
  [['tun'], /^flannel0$/, 'flannel'],
  [['bridge'], /^kube-bridge$/, 'kube-router'],
  [['ipip', 'ip6tnl'], /^tun-[0-9a-f]{3,11}$/, 'kube-router'],
  [['dummy'], /^kube-dummy-if$/, 'kube-router'],
  [['dummy'], /^kube-ipvs0$/, 'kube-proxy'],
  [['bridge'], /^cni0$/, 'plugins'],
]

export function linkOwner({ name, type = '', group }: Link): Owner | undefined {
  return group === ourGroup
    ? undefined
    : linkPatterns.find(([kinds, pattern]) => kinds.includes(type) && pattern.test(name))?.[2]
}

export function isUnknownLink({ name, group }: Link): boolean {
  return group !== ourGroup && /^(flannel|kube-|cali[0-9a-f]|vxlan(-v6)?\.calico|cilium_|weave|antrea-|ovn-)/.test(name)
}

const nftPatterns: readonly (readonly [RegExp, Owner])[] = [
  [/^(ip flannel-ipv4|ip6 flannel-ipv6)$/, 'flannel'],
  [/^inet kindnet(-\w+)*$/, 'kindnet'],
  [/^(ip|ip6) kube-proxy$/, 'kube-proxy'],
]

export function nftOwner({ family, name }: NftTable): Owner | undefined {
  return nftPatterns.find(([pattern]) => pattern.test(`${family} ${name}`))?.[1]
}

export function isUnknownNft({ name }: NftTable): boolean {
  return /^(flannel|kindnet|kube|cni|calico|cilium|antrea)/i.test(name)
}

const ipvsSets =
  /^KUBE-(6-)?(LOOP-BACK|CLUSTER-IP|EXTERNAL-IP(-LOCAL)?|LOAD-BALANCER(-FW|-LOCAL|-SOURCE-IP|-SOURCE-CIDR)?|NODE-PORT(-LOCAL)?-(TCP|UDP|SCTP-HASH)|HEALTH-CHECK-NODE-PORT|IPVS-IPS)$/

export function setOwner(name: string): Owner | undefined {
  if (ipvsSets.test(name)) return 'kube-proxy'
  return /^(inet6:)?(kube-router-[\w-]+|KUBE-(SRC|DST)-[A-Z2-7]{16})$/.test(name) ? 'kube-router' : undefined
}
