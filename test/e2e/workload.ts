// What the matrix asks: two pods on every node, and Services of each kind before them.

export interface PodPlan {
  readonly name: string
  readonly node: string
}

/** Of the Services, by what is special about them. */
export const services = { plain: 'echo', nodePort: 'echo-node', local: 'echo-local', itself: 'echo-itself' } as const

export function plannedPods(nodes: readonly string[]): PodPlan[] {
  return nodes.flatMap((node, i) => ['a', 'b'].map((letter) => ({ name: `echo-${i + 1}${letter}`, node })))
}

/** All of namespace `e2e`. @param echo what starts the server */
export function workload(
  pods: readonly PodPlan[],
  { image, echo }: { image: string; echo: readonly string[] },
): object[] {
  const [first] = pods
  const common = { namespace: 'e2e' }
  const ports = ['TCP', 'UDP'].map((protocol) => ({
    name: protocol.toLowerCase(),
    protocol,
    port: 80,
    targetPort: 8080,
  }))
  const service = (name: string, spec: object): object => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...common, name },
    spec: { selector: { app: 'echo' }, ports, ...spec },
  })
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'e2e' } },
    service(services.plain, {}),
    service(services.nodePort, { type: 'NodePort' }),
    service(services.local, { type: 'NodePort', externalTrafficPolicy: 'Local' }),
    service(services.itself, { selector: { pod: first?.name ?? '' } }),
    ...pods.map(({ name, node }) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...common, name, labels: { app: 'echo', pod: name } },
      spec: {
        nodeName: node,
        tolerations: [{ operator: 'Exists' }],
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'echo',
            image,
            imagePullPolicy: 'IfNotPresent',
            command: [...echo, '8080/TCP', '8080/UDP'],
            env: Object.entries({ POD_NAME: name, POD_NAMESPACE: 'e2e', NODE_NAME: node }).map(([name, value]) => ({
              name,
              value,
            })),
            readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
          },
        ],
      },
    })),
  ]
}
