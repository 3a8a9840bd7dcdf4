// Checks rules of other programs that may drop pods' packets: in iptables' FORWARD, in the backend that this node does
// not use, and in nftables tables. A packet passes all of them, and a drop in one is final.
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
  if (foreign !== undefined) {
    const table = `${family === 4 ? 'ip' : 'ip6'} filter`
    return [
      {
        problem: `${program} cannot write to table filter: ${foreign.slice(2)}`,
        remedy:
          `nft list table ${table} shows what another program wrote there without iptables: ` +
          'make it use a table of its own',
      },
    ]
  }
  const at = lines.findIndex((line) => parseLine(line)?.rule.target?.name === 'FAIRLEAD-FORWARD')
  if (at < 0) {
    const drops = lines[0] === '-P FORWARD DROP' ? ', and its policy is DROP' : ''
    return [
      {
        problem: `FORWARD of ${program} has no jump to FAIRLEAD-FORWARD${drops}`,
        remedy: 'the agent adds it again within seconds: start it, or find in its log (level debug) what removes it',
      },
    ]
  }
  return lines
    .slice(0, at)
    .filter(isDrop)
    .map((line) => ({
      problem: `FORWARD of ${program} has \`${line}\` before FAIRLEAD-FORWARD`,
      remedy:
        `${program} ${deletionOf(line)}, and make the program that adds it append it, ` +
        'or move it to a chain that comes after Fairlead',
    }))
}

/** Finds drops in the other backend, where no FAIRLEAD-FORWARD accepts packets first. */
function findingsInOther({ family, backend, lines }: ForwardChain): Finding[] {
  const program = programOf(family, backend)
  const drops = lines.filter(
    (line) => line === '-P FORWARD DROP' || (isDrop(line) && parseLine(line)?.rule.matches.length === 0),
  )
  return drops.map((line) => ({
    problem: `FORWARD of ${program} has \`${line}\`, and this node's rules are in the other backend`,
    remedy:
      `${program} -P FORWARD ACCEPT; ${program} -F FORWARD, and make the program that adds it use the other backend ` +
      '(update-alternatives --config iptables)',
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
  const unreadable =
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
            problem:
              `${otherBackendRules} rules are in iptables-${other}, while those of this node are in ` +
              `iptables-${backend}: both are in force`,
            remedy:
              `make the program that adds them (iptables-${other}-save shows them) use iptables-${backend} ` +
              '(update-alternatives --config iptables), and flush them',
          },
        ]
  return {
    name: 'iptables backends',
    seenAs: 'drops that `iptables -S` does not show',
    findings: [...findings, ...unreadable],
  }
}

export function examineFirewalls({ nft, bridge }: NodeFacts): Check {
  const dropping = (nft?.firewalls ?? []).filter(
    ({ table, drops, knowsPods }) => !isFirewalld(table) && drops.length > 0 && !knowsPods,
  )
  const findings = dropping.map(({ table, drops }) => ({
    problem: `table ${table} of nftables drops forwarded packets (${drops.join('; ')})`,
    remedy:
      `accept pods there first: nft insert rule ${table} CHAIN iifname ${bridge} accept; ` +
      `nft insert rule ${table} CHAIN oifname ${bridge} accept`,
  }))
  return { name: 'foreign drops', seenAs: 'pods that reach nothing though every iptables rule accepts', findings }
}

/** Checks firewalld, which has a REJECT at the end of its forward chain and rewrites its rules at each reload. */
export function examineFirewalld({ nft, bridge }: NodeFacts): Check {
  const findings = (nft?.firewalls ?? [])
    .filter(({ table, knowsPods }) => isFirewalld(table) && !knowsPods)
    .map(({ table }) => ({
      problem: `firewalld is active (table ${table}) and does not know ${bridge}: it rejects packets of pods`,
      remedy:
        `firewall-cmd --permanent --zone=trusted --add-interface=${bridge} --add-source=POD_NETWORK; ` +
        'firewall-cmd --reload; or turn firewalld off',
    }))
  return { name: 'firewalld', seenAs: 'pods that lose their network at each reload of firewalld', findings }
}

function isFirewalld(table: string): boolean {
  return table.endsWith(' firewalld')
}
