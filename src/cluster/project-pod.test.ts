import { expect, test } from 'vitest'
import { projectPod, samePod } from './project-pod.ts'

const pod = {
  metadata: { name: 'web-0', namespace: 'shop', uid: 'u-1', labels: { app: 'web' } },
  spec: { nodeName: 'worker-1' },
  status: { phase: 'Running', podIP: '10.244.1.5', podIPs: [{ ip: '10.244.1.5' }, { ip: 'FD00::5' }] },
}

function projected(raw: unknown) {
  const problems: string[] = []
  const [key, value] = projectPod(raw, (problem) => problems.push(problem))
  return { key, value, problems }
}

test('keeps phase, addresses, labels and ports of a Pod', () => {
  expect(projected(pod)).toEqual({
    key: 'shop/web-0',
    value: {
      namespace: 'shop',
      name: 'web-0',
      uid: 'u-1',
      node: 'worker-1',
      phase: 'Running',
      hostNetwork: false,
      netAdmin: false,
      addresses: ['10.244.1.5', 'fd00::5'],
      labels: { app: 'web' },
      ports: [],
    },
    problems: [],
  })
})

test('projects a Pod that is not scheduled yet', () => {
  expect(projected({ metadata: { name: 'a', namespace: 'n' } }).value).toMatchObject({
    node: undefined,
    phase: 'Pending',
    addresses: [],
    labels: {},
  })
})

test.each([
  ['a capability', { containers: [{ securityContext: { capabilities: { add: ['SYS_TIME', 'NET_ADMIN'] } } }] }],
  ['all capabilities', { containers: [{}, { securityContext: { capabilities: { add: ['ALL'] } } }] }],
  ['a prefix', { containers: [{ securityContext: { capabilities: { add: ['cap_net_admin'] } } }] }],
  ['a privileged container', { containers: [{ securityContext: { privileged: true } }] }],
  ['an init container', { initContainers: [{ securityContext: { privileged: true } }] }],
  ['a debugging container', { ephemeralContainers: [{ securityContext: { privileged: true } }] }],
])('knows by %s that a pod may change its network', (_, spec) => {
  expect(projected({ ...pod, spec }).value.netAdmin).toBe(true)
})

test('takes a pod with other capabilities for one that may not change its network', () => {
  const securityContext = { privileged: false, capabilities: { add: ['NET_RAW'], drop: ['ALL'] } }
  expect(projected({ ...pod, spec: { containers: [{ securityContext }] } }).value.netAdmin).toBe(false)
})

test('leaves out an invalid address and reports it', () => {
  const { value, problems } = projected({ ...pod, status: { phase: 'Running', podIP: '10.244.1' } })
  expect(value.addresses).toEqual([])
  expect(problems).toEqual([
    'Pod shop/web-0: status.podIPs `10.244.1` is left out: Expected an IP address, got `10.244.1`',
  ])
})

test('compares labels and addresses, but not conditions', () => {
  const ready = { ...pod, status: { ...pod.status, conditions: [{ type: 'Ready' }] } }
  expect(samePod(projected(pod).value, projected(ready).value)).toBe(true)
  const labelled = { ...pod, metadata: { ...pod.metadata, labels: { app: 'api' } } }
  expect(samePod(projected(pod).value, projected(labelled).value)).toBe(false)
})

test('keeps named ports, including those of sidecars, and reports an invalid one', () => {
  const spec = {
    containers: [
      { ports: [{ name: 'http', containerPort: 8080 }, { containerPort: 1 }] },
      { ports: [{ name: 'Bad!', containerPort: 2 }] },
    ],
    initContainers: [
      { ports: [{ name: 'gone', containerPort: 3 }] },
      { restartPolicy: 'Always', ports: [{ name: 'dns', protocol: 'UDP', containerPort: 53 }] },
    ],
  }
  const { value, problems } = projected({ ...pod, spec })
  expect(value.ports).toEqual([
    { name: 'http', protocol: 'tcp', port: 8080 },
    { name: 'dns', protocol: 'udp', port: 53 },
  ])
  expect(problems).toEqual([
    expect.stringContaining('Pod shop/web-0: container port `Bad!` is left out: Expected the name of a port'),
  ])
})

test('uses the uid of a static pod, which the runtime knows, instead of that of its mirror pod', () => {
  expect(
    projected({ ...pod, metadata: { ...pod.metadata, annotations: { 'kubernetes.io/config.mirror': 'a1b2' } } }).value
      .uid,
  ).toBe('a1b2')
})
