// Links of others that stand where ours should.
import { ourGroup } from '../kernel/kernel.ts'
import type { Link } from '../kernel/observed.ts'
import { familyOf } from '../net/address.ts'
import type { VxlanDevice } from './state.ts'

/** Made by us under that name: nothing else is ever changed. */
export function isOurs(link: Link, name: string): boolean {
  return link.name === name && isMarked(link)
}

/** Made by us under a name that we no longer use: it goes. */
export function isFormer(link: Link, name: string): boolean {
  return link.name !== name && isMarked(link)
}

function isMarked(link: Link): boolean {
  return link.type === 'vxlan' && link.group === ourGroup
}

/** The sentence that says why the device cannot be made, or undefined. */
export function deviceConflict(device: VxlanDevice, links: readonly Link[]): string | undefined {
  const namesake = links.find((link) => link.name === device.name && !isOurs(link, device.name))
  if (namesake !== undefined)
    return `Link ${device.name} is there but was not made by Fairlead (type ${namesake.type ?? 'hardware'}, group ${namesake.group}); remove it with \`ip link del ${device.name}\` or set vxlanDevice to another name`
  const rival = links.find(
    (link) => link.name !== device.name && !isFormer(link, device.name) && claimsSame(device, link),
  )
  if (rival !== undefined)
    return `Link ${rival.name} already is VXLAN ${device.vni} on UDP port ${device.port}, so ${device.name} cannot be; remove it with \`ip link del ${rival.name}\` or set another vni or vxlanPort on every node`
  return undefined
}

/**
 * As the kernel compares them (vxlan_vni_in_use): VNI, port, and the family of the outer packets, which is IPv4 where
 * no address says.
 */
function claimsSame(device: VxlanDevice, link: Link): boolean {
  const { vxlan } = link
  if (vxlan === undefined || vxlan.vni !== device.vni || vxlan.port !== device.port) return false
  return (vxlan.local === undefined ? 4 : familyOf(vxlan.local)) === familyOf(device.local)
}
