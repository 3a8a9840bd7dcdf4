// Steps about NetworkPolicies: which connections they allow, and the nftables state that enforces them.
import { outsidePort, underlay } from '../layout.ts'
import { denialsOf, verdictsOf, withPolicies } from './policy-rules.ts'
import { answerSummary, isDropped } from './answers.ts'
import { settledService } from './service-rules.ts'
import { allOf, type Evidence, type Step } from './step.ts'
import { describe, nodeOf, type Place, type Tour } from './tour.ts'

/** ms to wait for an answer. Denied packets are dropped, so a denied client gets none. */
const answerTimeoutMs = 700
/** The underlay, with the outside client in it, and the part of it with the client's second address. */
const [allowed, excepted, secondAddress] = ['192.168.0.0/24', '192.168.0.144/28', '192.168.0.150']

/** Creates the pods that only these steps need. Their other clients are pods of the pod network's steps. */
export async function createPolicyPods(tour: Tour): Promise<void> {
  const dns = {
    name: 'dns',
    ports: [
      { containerPort: 53, protocol: 'UDP' },
      { containerPort: 53, protocol: 'TCP' },
    ],
  }
  await Promise.all([
    tour.createPod('tour-db', 'node1', { labels: { app: 'db' } }),
    tour.createPod('tour-data', 'node2', { labels: { tier: 'data' } }),
    tour.createPod('tour-front', 'node1', { labels: { tier: 'front' } }),
    tour.createPod('tour-dns', 'node2', { labels: { 'k8s-app': 'kube-dns' }, containers: [dns] }),
    tour.create({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'dns' },
      spec: { selector: { 'k8s-app': 'kube-dns' }, ports: [{ name: 'dns', protocol: 'UDP', port: 53 }] },
    }),
  ])
}

export const databaseForDataTier: Step = {
  title: 'NetworkPolicy: a database that only the data tier may reach',
  async run(tour) {
    const [database, data, front] = [tour.pod('tour-db'), tour.pod('tour-data'), tour.pod('tour-front')]
    const spec = {
      podSelector: { matchLabels: { app: 'db' } },
      ingress: [{ from: [{ podSelector: { matchLabels: { tier: 'data' } } }], ports: [{ port: 8080 }] }],
    }
    return await withPolicies(tour, { database: spec }, async () => {
      const verdicts = await verdictsOf(tour, database, 'ingress', ['database'])
      const parts = [
        await answered(tour, data, describe(data), database.address, 8080),
        await denied(tour, front, describe(front), database.address, 8080),
      ]
      const trace = await tour.show(
        nodeOf(database),
        ['fairlead', 'trace', '--from', `${front.namespace}/${front.name}`, '--to', `${database.address}:8080`],
        /denied by/,
      )
      return { ...allOf(parts), exhibits: [...verdicts, await denialsOf(tour, database, 'ingress'), trace] }
    })
  },
}

export const defaultDeny: Step = {
  title: 'NetworkPolicy: default deny for a whole namespace, with DNS allowed',
  async run(tour) {
    const [client, dns, database] = [tour.pod('tour-front'), tour.pod('tour-dns'), tour.pod('tour-db')]
    const [dnsPods, ports] = [
      { matchLabels: { 'k8s-app': 'kube-dns' } },
      [
        { protocol: 'UDP', port: 53 },
        { protocol: 'TCP', port: 53 },
      ],
    ]
    const { clusterIp } = await settledService(tour, 'dns', 1)
    const policies = {
      'allow-dns': { podSelector: {}, policyTypes: ['Egress'], egress: [{ to: [{ podSelector: dnsPods }], ports }] },
      'default-deny': { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
      'serve-dns': { podSelector: dnsPods, ingress: [{ ports }] },
    }
    return await withPolicies(tour, policies, async () => {
      const egress = await verdictsOf(tour, client, 'egress', ['allow-dns', 'default-deny'])
      const ingress = await verdictsOf(tour, dns, 'ingress', ['default-deny', 'serve-dns'])
      // The Service's address is translated before the policies are evaluated, so they see that of the pod.
      const resolved = await tour.ask(client, clusterIp, 53, 'UDP')
      const asked: Evidence = {
        ok: resolved.pod === dns.name,
        tried: `${describe(client)} asks ${clusterIp}:53, the Service of ${describe(dns)}, over UDP`,
        happened: `${resolved.pod} answered, and saw ${resolved.client}`,
        exhibits: [],
      }
      return {
        ...allOf([asked, await denied(tour, client, describe(client), database.address, 8080)]),
        exhibits: [...egress, ...ingress, await denialsOf(tour, client, 'egress')],
      }
    })
  },
}

export const blockWithExcept: Step = {
  title: 'NetworkPolicy: an ipBlock lets a network in from outside, except a part of it',
  async run(tour) {
    const server = tour.pod('tour-c')
    const { nodePort } = await settledService(tour, 'local', 1)
    const { address: node } = await tour.node('node2')
    const spec = {
      podSelector: { matchLabels: { place: 'node2' } },
      ingress: [{ from: [{ ipBlock: { cidr: allowed, except: [excepted] } }] }],
    }
    await tour.run('outside', ['ip', 'address', 'replace', `${secondAddress}/32`, 'dev', 'eth0'])
    try {
      return await withPolicies(tour, { block: spec }, async () => {
        const verdicts = await verdictsOf(tour, server, 'ingress', ['block'])
        const first = await answered(tour, 'outside', `the client outside (${underlay.outside})`, node, nodePort)
        await tour.run('outside', ['ip', 'route', 'replace', `${node}/32`, 'dev', 'eth0', 'src', secondAddress])
        const second = await denied(tour, 'outside', `the same client as ${secondAddress}`, node, nodePort)
        return { ...allOf([first, second]), exhibits: [...verdicts, await denialsOf(tour, server, 'ingress')] }
      })
    } finally {
      await tour.run('outside', ['ip', 'route', 'flush', 'exact', `${node}/32`])
      await tour.run('outside', ['ip', 'address', 'del', `${secondAddress}/32`, 'dev', 'eth0'])
    }
  },
}

export const egressLimits: Step = {
  title: 'NetworkPolicy: a pod that may go to one address and port outside, and nowhere else',
  async run(tour) {
    const [client, other] = [tour.pod('tour-front'), tour.pod('tour-a')]
    const spec = {
      podSelector: { matchLabels: { tier: 'front' } },
      policyTypes: ['Egress'],
      egress: [
        {
          to: [{ ipBlock: { cidr: `${underlay.outside}/32` } }],
          ports: [{ port: outsidePort, endPort: outsidePort + 9 }],
        },
      ],
    }
    return await withPolicies(tour, { 'way-out': spec }, async () => {
      const verdicts = await verdictsOf(tour, client, 'egress', ['way-out'])
      const parts = [
        await answered(tour, client, describe(client), underlay.outside, outsidePort),
        await denied(tour, client, describe(client), other.address, 8080),
      ]
      return { ...allOf(parts), exhibits: [...verdicts, await denialsOf(tour, client, 'egress')] }
    })
  },
}

async function answered(tour: Tour, from: Place, client: string, address: string, port: number): Promise<Evidence> {
  const counts = await tour.askMany(from, address, port, 3)
  return {
    ok: counts.failures.length === 0,
    tried: `${client} asks ${address}:${port}`,
    happened: answerSummary(counts),
    exhibits: [],
  }
}

async function denied(tour: Tour, from: Place, client: string, address: string, port: number): Promise<Evidence> {
  const counts = await tour.askMany(from, address, port, 1, answerTimeoutMs)
  return {
    ok: isDropped(counts),
    tried: `${client} asks ${address}:${port}`,
    happened: answerSummary(counts),
    exhibits: [],
  }
}
