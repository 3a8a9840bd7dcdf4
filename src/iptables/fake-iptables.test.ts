import { describe } from 'vitest'
import { FakeIptables } from '../../test/support/fake-iptables.ts'
import { iptablesConformance } from '../../test/support/iptables-conformance.ts'

describe.each(['nft', 'legacy'] as const)('the fake as %s', (backend) => {
  iptablesConformance(async () => {
    const iptables = new FakeIptables({ backend })
    return {
      iptables,
      change: async (...of) => iptables.change(...of),
      [Symbol.asyncDispose]: async () => undefined,
    }
  })
})
