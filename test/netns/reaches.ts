// Whether one can reach another on an agent's machine.
import { vi } from 'vitest'
import type { AgentMachine } from './agent-machine.ts'

/** From the pod, or from the node itself. A neighbour that has to be found anew may cost the first packets. */
export async function assertReaches(machine: AgentMachine, from: string | undefined, address: string): Promise<void> {
  const ping = ['ping', '-c', '1', '-W', '1', address]
  await vi.waitFor(
    async () => {
      const { exitCode, stdout } = await (from === undefined
        ? machine.run('env', ping)
        : machine.run('ip', ['netns', 'exec', from, ...ping]))
      if (exitCode !== 0) throw new Error(`${from ?? 'the node'} does not reach ${address}: ${stdout}`)
    },
    { timeout: 60_000, interval: 200 },
  )
}
