// Which host ports the rules in the kernel publish, whoever wrote them: all that is left of the ports of a pod whose
// record is lost.
import type { Family, Address } from '../../net/address.ts'
import type { Iptables } from '../../iptables/iptables.ts'
import { ruleTexts } from '../../iptables/parse-rule.ts'
import { CommandError } from '../../kernel/command-error.ts'
import type { PortMapping } from '../attachment.ts'
import { parseHostPortRule } from './host-port-flows.ts'
import { type HostPortLead, hostPortPlace } from './host-ports.ts'

/** @returns by pod address; a port on every address is there once a family. @throws {CommandError} */
export async function publishedPorts(
  iptables: Iptables,
  families: readonly Family[],
): Promise<ReadonlyMap<Address, readonly PortMapping[]>> {
  const leads = await Promise.all(
    families.map(async (family) =>
      (await rulesOf(iptables, family)).flatMap((rule) => parseHostPortRule(family, rule) ?? []),
    ),
  )
  return new Map(
    [...Map.groupBy(leads.flat(), ({ target }) => target)].map(([target, same]) => [target, same.map(mappingOf)]),
  )
}

function mappingOf({ hostPort, targetPort, protocol, hostAddress }: HostPortLead): PortMapping {
  return { hostPort, containerPort: targetPort, protocol, hostAddress }
}

/** A node without the program for the family has no such rules. */
async function rulesOf(iptables: Iptables, family: Family): Promise<readonly string[]> {
  try {
    return ruleTexts((await iptables.rulesOf(family, hostPortPlace.table, hostPortPlace.chain)) ?? [])
  } catch (error) {
    if (error instanceof CommandError && error.kind === 'not-installed') return []
    throw error
  }
}
