// A node that a cloud's controller has marked as without network: what the agent says of it, and what it writes where
// it is told to and may.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { AgentMachine } from './agent-machine.ts'
import { describeKernel } from './scratch.ts'

const eventually = { timeout: 60_000, interval: 100 }
const node = '/api/v1/nodes/n1'

interface NodeObject {
  readonly metadata: object
  readonly status: {
    readonly addresses: object[]
    readonly conditions: { readonly type: string; readonly status: string; readonly reason?: string }[]
  }
}

async function conditions(machine: AgentMachine): Promise<NodeObject['status']['conditions']> {
  return ((await machine.api('GET', node)) as NodeObject).status.conditions
}

/** Beside a condition of the kubelet's, which is nobody else's to change. */
async function mark(machine: AgentMachine): Promise<void> {
  const { status, ...rest } = (await machine.api('GET', node)) as NodeObject
  const marks = [
    { type: 'Ready', status: 'True' },
    { type: 'NetworkUnavailable', status: 'True', reason: 'NoRouteCreated' },
  ]
  await machine.api('PUT', `${node}/status`, { ...rest, status: { ...status, conditions: marks } })
}

async function allow(machine: AgentMachine): Promise<void> {
  const file = join(import.meta.dirname, '../../deploy/components/network-unavailable/rbac.yaml')
  for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
    const object = document.toJS() as { kind: string }
    await machine.api('POST', `/apis/rbac.authorization.k8s.io/v1/${object.kind.toLowerCase()}s`, object)
  }
}

describeKernel('a node marked NetworkUnavailable', () => {
  test('is told of, left as it is without the right to write, and cleared with it', async () => {
    await using machine = await AgentMachine.start()
    await mark(machine)
    const asAgent = ['--kubeconfig', `${machine.dir}/agent-n1.kubeconfig`]
    machine.startAgent({ flags: asAgent })
    await machine.ready()
    await vi.waitFor(
      () =>
        expect(machine.warnings).toContainEqual(
          expect.stringMatching(
            /^Node n1 is marked NetworkUnavailable, so pods are kept from it though it has a network: set clearNetworkUnavailable /,
          ),
        ),
      eventually,
    )
    expect(await conditions(machine)).toContainEqual(
      expect.objectContaining({ type: 'NetworkUnavailable', status: 'True' }),
    )
    await machine.killAgent('TERM')

    machine.startAgent({ flags: [...asAgent, '--clear-network-unavailable', 'true', '--resync-seconds', '1'] })
    await vi.waitFor(
      () =>
        expect(machine.warnings).toContainEqual(
          expect.stringMatching(
            /^Condition NetworkUnavailable of node n1 could not be cleared \(.* cannot patch resource "nodes\/status" .*\): apply deploy\/network-unavailable, which allows it$/,
          ),
        ),
      eventually,
    )
    await allow(machine)
    await vi.waitFor(
      async () =>
        expect(await conditions(machine)).toEqual([
          { type: 'Ready', status: 'True' },
          expect.objectContaining({ type: 'NetworkUnavailable', status: 'False', reason: 'FairleadIsReady' }),
        ]),
      eventually,
    )
    // With which it is over.
    await vi.waitFor(
      () =>
        expect(machine.log.map(({ msg }) => msg)).toContainEqual(
          expect.stringMatching(/^no longer: Condition NetworkUnavailable of node n1/),
        ),
      eventually,
    )
  })
})
