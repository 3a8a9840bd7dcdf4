import { expect, test } from 'vitest'
import { classifyFailure } from './classify-failure.ts'

// As the tools say it: iproute2 6.1, iptables 1.8.9 (both backends), util-linux 2.38.
test.each([
  ['exists', 'RTNETLINK answers: File exists'],
  ['exists', 'Error: ipv4: Address already assigned.'],
  ['exists', 'Error: ipv6: address already assigned.'],
  ['exists', 'Error: Exclusivity flag on, cannot modify.'],
  ['exists', 'Cannot create namespace file "/run/netns/x": File exists'],
  ['missing', 'RTNETLINK answers: No such process'],
  ['missing', 'RTNETLINK answers: No such file or directory'],
  ['missing', 'RTNETLINK answers: No such device'],
  ['missing', 'Error: ipv4: Address not found.'],
  ['missing', 'Error: ipv6: address not found.'],
  ['missing', 'Cannot find device "x"'],
  ['missing', 'Error: argument "cni0" is wrong: Device does not exist\n'],
  ['missing', 'Error: argument "/run/netns/x" is wrong: Invalid "netns" value\n'],
  ['missing', 'nsenter: cannot open /run/netns/x: No such file or directory'],
  ['missing', 'Cannot remove namespace file "/run/netns/x": No such file or directory'],
  ['missing', 'Error: Cannot delete qdisc with handle of zero.'],
  ['missing', 'Error: Invalid handle.'],
  ['missing', 'iptables: No chain/target/match by that name.'],
  ['missing', "iptables v1.8.9 (nf_tables): chain `A2' in table `nat' is incompatible, use 'nft' tool."],
  ['conflict', 'Error: A VXLAN device with the specified VNI already exists.'],
  ['conflict', 'RTNETLINK answers: Device or resource busy'],
  ['usage', 'Error: argument "99999999" is wrong: invalid id'],
  ['usage', 'Error: either "dev" is duplicate, or "bogus" is a garbage.'],
  ['usage', 'Error: any valid prefix is expected rather than "10.0.0.1/99".'],
  ['usage', 'Object "foo" is unknown, try "ip help".'],
  ['usage', 'Error: Unknown device type.'],
  ['usage', 'Invalid mac address zz'],
  ['usage', 'iptables-restore v1.8.9 (legacy): unknown option "--bogus"\nError occurred at line: 4'],
  ['other', 'Error: Cannot change port.'],
  ['other', 'RTNETLINK answers: Invalid argument'],
  ['other', ''],
])('%s: %s', (kind, text) => {
  expect(classifyFailure(text)).toBe(kind)
})
