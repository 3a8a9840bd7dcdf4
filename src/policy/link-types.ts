/**
 * ICMPv6 that IPv6 does not work without on a link: listeners, and neighbours finding each other. What else it needs,
 * errors, is related to connections.
 */
export const linkTypes = ['130-137', '143']
