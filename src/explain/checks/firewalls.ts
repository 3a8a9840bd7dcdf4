// Rules of others that stand between pods: in iptables' FORWARD, in the backend that this node does not use, and in
// tables of nftables. A packet passes all of them, and one drop is final whatever another has accepted.
import type { Family } from '../../net/address.ts'
import { parseLine } from '../../iptables/parse-rule.ts'
import { deletionOf } from '../../iptables/restore-text.ts'
import type { Check, Finding } from '../check.ts'
import type { ForwardChain, NodeFacts } from '../node-facts.ts'

export function examineForward({ agent, backend, forwardChains, families }: NodeFacts): Check {
  const base = { name: 'FORWARD', seenAs: 'pods that lose everything once Docker or a firewall has started' }
  if (agent?.podNetwork === false) return { ...base, findings: [], skipped: "the pod network is another program's" }
  const of = (chain: ForwardChain): boolean => families.includes(chain.family)
  const own = forwardChains.filter((chain) => of(chain) && chain.backend === backend).flatMap(findingsInOwn)
  const other = forwardChains.filter((chain) => of(chain) && chain.backend !== backend).flatMap(findingsInOther)
  return { ...base, findings: [...own, ...other] }
}

function findingsInOwn({ family, backend, lines }: ForwardChain): Finding[] {
  const program = programOf(family, backend)
  const foreign = lines.find((line) => line.startsWith('# '))
  if (foreign !== undefined)
    return [
      {
        problem: `${program} cannot write to table filter: ${foreign.slice(2)}`,
        remedy: `nft list table ${family === 4 ? 'ip' : 'ip6'} filter shows what another program wrote there without iptables: have it use a table of its own`,
      },
    ]
  const at = lines.findIndex((line) => parseLine(line)?.rule.target?.name === 'FAIRLEAD-FORWARD')
  if (at < 0) {
    const drops = lines[0] === '-P FORWARD DROP' ? ', and its policy is DROP' : ''
    return [
      {
        problem: `FORWARD of ${program} has no jump to FAIRLEAD-FORWARD${drops}`,
        remedy:
          'the agent brings it back within seconds: start it, or find in its log (level debug) what takes it away again',
      },
    ]
  }
  return lines
    .slice(0, at)
    .filter(isDrop)
    .map((line) => ({
      problem: `FORWARD of ${program} has \`${line}\` before FAIRLEAD-FORWARD`,
      remedy: `${program} ${deletionOf(line)}, and have whoever makes it append it, or put it into a chain that Fairlead's comes before`,
    }))
}

/** FAIRLEAD-FORWARD does not stand there, so what is dropped is dropped. */
function findingsInOther({ family, backend, lines }: ForwardChain): Finding[] {
  const program = programOf(family, backend)
  const drops = lines.filter(
    (line) => line === '-P FORWARD DROP' || (isDrop(line) && parseLine(line)?.rule.matches.length === 0),
  )
  return drops.map((line) => ({
    problem: `FORWARD of ${program} has \`${line}\`, and this node's rules are in the other backend`,
    remedy: `${program} -P FORWARD ACCEPT; ${program} -F FORWARD, and have whoever makes it use the other backend (update-alternatives --config iptables)`,
  }))
}

function isDrop(line: string): boolean {
  return ['DROP', 'REJECT'].includes(parseLine(line)?.rule.target?.name ?? '')
}

function programOf(family: Family, backend: 'nft' | 'legacy'): string {
  return `${family === 4 ? 'iptables' : 'ip6tables'}-${backend}`
}

export function examineBackends({ backend, otherBackendRules, otherBackendFailure }: NodeFacts): Check {
  const other = backend === 'nft' ? 'legacy' : 'nft'
  const unread =
    otherBackendFailure === undefined
      ? []
      : [
          {
            problem: `the rules that this node has in iptables-${other} cannot be read (${otherBackendFailure})`,
            remedy: 'run the doctor as root with NET_ADMIN and NET_RAW, as in the container of deploy/base',
          },
        ]
  const findings =
    otherBackendRules === 0
      ? []
      : [
          {
            problem: `${otherBackendRules} rules are in iptables-${other}, while those of this node are in iptables-${backend}: both are in force`,
            remedy: `have whoever made them (iptables-${other}-save shows them) use iptables-${backend} (update-alternatives --config iptables), and flush them`,
          },
        ]
  return {
    name: 'iptables backends',
    seenAs: 'rules that nobody finds, as a drop that `iptables -S` does not show',
    findings: [...findings, ...unread],
  }
}

export function examineFirewalls({ nft, bridge }: NodeFacts): Check {
  const dropping = (nft?.firewalls ?? []).filter(
    ({ table, drops, knowsPods }) => !isFirewalld(table) && drops.length > 0 && !knowsPods,
  )
  const findings = dropping.map(({ table, drops }) => ({
    problem: `table ${table} of nftables drops what is forwarded (${drops.join('; ')})`,
    remedy: `accept pods there first: nft insert rule ${table} CHAIN iifname ${bridge} accept; nft insert rule ${table} CHAIN oifname ${bridge} accept`,
  }))
  return { name: 'foreign drops', seenAs: 'pods that reach nobody though every rule of iptables accepts', findings }
}

/** It comes with a REJECT at the end of its forward chain, and writes all its rules anew at each reload. */
export function examineFirewalld({ nft, bridge }: NodeFacts): Check {
  const findings = (nft?.firewalls ?? [])
    .filter(({ table, knowsPods }) => isFirewalld(table) && !knowsPods)
    .map(({ table }) => ({
      problem: `firewalld is active (table ${table}) and does not know ${bridge}: it rejects what pods send through this node`,
      remedy: `firewall-cmd --permanent --zone=trusted --add-interface=${bridge} --add-source=POD_NETWORK; firewall-cmd --reload; or switch firewalld off`,
    }))
  return { name: 'firewalld', seenAs: 'pods that lose their network at each reload of firewalld', findings }
}

function isFirewalld(table: string): boolean {
  return table.endsWith(' firewalld')
}
