// The bits of the packet mark that our iptables rules read or set. All marks on a node: docs/marks.md.

/** Set by kube-proxy's KUBE-MARK-MASQ: KUBE-POSTROUTING gives such a packet the node's address. */
export const kubeMasqueradeMark = '0x4000/0x4000'
/**
 * Set by FAIRLEAD-HOSTPORTS on what must not reach the pod with its own source address. The bit is portmap's default: a
 * node has one of us.
 */
export const hostPortMark = '0x2000/0x2000'
/**
 * Takes the bit away and leaves all others. `0x2000/0x0`, kube-proxy's way, toggles it: right only where it is known to
 * be set.
 */
export const withoutHostPortMark = '0x0/0x2000'
