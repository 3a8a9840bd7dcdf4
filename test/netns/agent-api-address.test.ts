// An agent in its pod: a service account, and an address of the API server to be found before there are Services.
import { expect, test } from 'vitest'
import { AgentMachine, until } from './agent-machine.ts'
import { describeKernel } from './scratch.ts'

const kubelet = '/var/lib/rancher/k3s/agent/kubelet.kubeconfig'
/** Leads nowhere: the machine has no route to it. */
const unprogrammed = { KUBERNETES_SERVICE_HOST: '10.254.0.1', KUBERNETES_SERVICE_PORT: '443' }

/** The service account of the pod, with the rights of the administrator's kubeconfig. */
async function serviceAccount(machine: AgentMachine): Promise<void> {
  const script = `set -e; dir=/run/secrets/kubernetes.io/serviceaccount; mkdir -p $dir
sed -n 's/.*certificate-authority-data: *//p' "$0" | base64 -d >$dir/ca.crt
sed -n 's/.*token: *//p' "$0" >$dir/token`
  await machine.succeed('sh', ['-c', script, `${machine.dir}/admin.kubeconfig`])
}

/** As k3s has it, with credentials that the API server would refuse. */
async function kubeletNames(machine: AgentMachine, server: string): Promise<void> {
  const config = {
    clusters: [{ name: 'k', cluster: { server } }],
    users: [{ name: 'u', user: { token: 'of the kubelet' } }],
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
    'current-context': 'c',
  }
  await machine.succeed('sh', ['-c', 'mkdir -p "${0%/*}"; printf %s "$1" >"$0"', kubelet, JSON.stringify(config)])
}

function reached(machine: AgentMachine): string[] {
  return machine.log.map(({ msg }) => msg).filter((msg) => msg.startsWith('the API server is reached at'))
}

describeKernel('an agent with a service account reaches the API server', () => {
  test("at the kubelet's address, with its own credentials", async () => {
    await using machine = await AgentMachine.start()
    await serviceAccount(machine)
    await kubeletNames(machine, 'https://127.0.0.1:6443')
    machine.startAgent({ kubeconfig: false, env: unprogrammed })
    await machine.ready()
    expect(reached(machine)).toEqual([
      `the API server is reached at https://127.0.0.1:6443, an address from the kubelet's configuration ${kubelet}`,
    ])
  })

  test('at the k3s load balancer when the kubelet address is dead, as soon as it answers', async () => {
    await using machine = await AgentMachine.start()
    await serviceAccount(machine)
    await kubeletNames(machine, 'https://127.0.0.1:1')
    machine.startAgent({ kubeconfig: false, env: unprogrammed })
    await until(
      () => machine.warnings.some((msg) => msg.includes("None of the API server's addresses answers")),
      'the agent to say that it found none',
    )
    const nodesWarning = machine.warnings.find((msg) => msg.includes('/api/v1/nodes'))
    expect(nodesWarning?.split('; ')).toEqual([
      expect.stringMatching(
        /^Reading \/api\/v1\/nodes failed, trying again: None of the API server's addresses answers: https:\/\/127\.0\.0\.1:1 from the kubelet's configuration /,
      ),
      'https://127.0.0.1:6444 from the k3s load balancer on this node (connect ECONNREFUSED 127.0.0.1:6444)',
      expect.stringMatching(/^https:\/\/10\.254\.0\.1:443 from the Service `kubernetes` \(.+\)$/),
      'set apiServer to one that does',
    ])
    const balancer = machine.run('socat', ['TCP-LISTEN:6444,fork,reuseaddr', 'TCP:127.0.0.1:6443'])
    await machine.ready()
    expect(reached(machine)).toEqual([
      'the API server is reached at https://127.0.0.1:6444, an address from the k3s load balancer on this node',
    ])
    await machine.killAgent()
    await machine.succeed('pkill', ['socat'])
    await balancer
  })

  test('at its Service where the node knows no other', async () => {
    await using machine = await AgentMachine.start()
    await serviceAccount(machine)
    machine.startAgent({
      kubeconfig: false,
      env: { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: '6443' },
    })
    await machine.ready()
    expect(reached(machine)).toEqual([
      'the API server is reached at https://127.0.0.1:6443, an address from the Service `kubernetes`',
    ])
  })
})
