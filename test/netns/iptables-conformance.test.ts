// The conformance suite on the real kernel, with both backends.
import { backendProgram } from '../../src/iptables/iptables.ts'
import { iptablesConformance } from '../support/iptables-conformance.ts'
import { describeKernel, scratchNamespace } from './scratch.ts'

for (const backend of ['nft', 'legacy'] as const) {
  describeKernel(`iptables-${backend}`, () => {
    iptablesConformance(async () => {
      const node = await scratchNamespace({ iptables: backend })
      return {
        iptables: node.iptables,
        change: async (family, table, chain, rules) => {
          const program = backendProgram(family, backend)
          if (rules === undefined) {
            await node.run(program, ['-t', table, '-X', chain])
            return
          }
          const isBuiltIn = /^(INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING)$/.test(chain)
          const lines = [
            `:${chain} ${isBuiltIn ? 'ACCEPT' : '-'} [0:0]`,
            `-F ${chain}`,
            ...rules.map((rule) => `-A ${chain} ${rule}`),
          ]
          await node.run(`${program}-restore`, ['--noflush'], { input: `*${table}\n${lines.join('\n')}\nCOMMIT\n` })
        },
        [Symbol.asyncDispose]: async () => node[Symbol.asyncDispose](),
      }
    })
  })
}
