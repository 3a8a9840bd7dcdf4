// Who asks whom, and which answers are right: pure.

export interface PodFacts {
  readonly name: string
  readonly node: string
  readonly address: string
}

export interface Facts {
  readonly pods: readonly PodFacts[]
  /** InternalIP by node. */
  readonly nodes: Readonly<Record<string, string>>
  readonly clusterIp: string
  /** Of the Service with one endpoint, the first pod. */
  readonly itselfIp: string
  /** Node ports by protocol. */
  readonly nodePort: Readonly<Record<string, number>>
  readonly localPort: Readonly<Record<string, number>>
  /** Whether names of Services are resolved. */
  readonly names: boolean
}

export interface Question {
  readonly from: string
  /** "10.244.1.2 8080/TCP" */
  readonly target: string
  readonly why: string
  /** Pods that may answer. */
  readonly answerers: readonly string[]
  /** The address that they have to see; any where undefined. */
  readonly seen?: string
}

export interface Answer {
  readonly pod: string
  /** ADDRESS:PORT */
  readonly client: string
}

export function questions(facts: Facts): Question[] {
  const all = facts.pods.map(({ name }) => name)
  return facts.pods.flatMap((from, i) => [
    ...['TCP', 'UDP'].flatMap((protocol): Question[] => [
      ...facts.pods
        .filter((to) => to !== from)
        .map((to) => ({
          from: from.name,
          target: `${to.address} 8080/${protocol}`,
          why: to.node === from.node ? 'pod on the same node, without NAT' : 'pod on another node, without NAT',
          answerers: [to.name],
          seen: from.address,
        })),
      { from: from.name, target: `${facts.clusterIp} 80/${protocol}`, why: 'ClusterIP', answerers: all },
      ...(facts.names
        ? [
            {
              from: from.name,
              target: `echo.e2e.svc.cluster.local 80/${protocol}`,
              why: 'name of a Service',
              answerers: all,
            },
          ]
        : []),
      ...Object.entries(facts.nodes).map(([node, address]) => ({
        from: from.name,
        target: `${address} ${facts.nodePort[protocol]}/${protocol}`,
        why: `node port of ${node}`,
        answerers: all,
      })),
      ...Object.entries(facts.nodes).map(([node, address]) => ({
        from: from.name,
        target: `${address} ${facts.localPort[protocol]}/${protocol}`,
        why: `node port with policy Local of ${node}, which from inside leads to all`,
        answerers: all,
      })),
    ]),
    ...(i === 0
      ? [
          {
            from: from.name,
            target: `${facts.itselfIp} 80/TCP`,
            why: 'a Service of which it is the only endpoint',
            answerers: [from.name],
          },
        ]
      : []),
  ])
}

/** A sentence for a wrong answer; undefined for a right one. @param answer undefined where none came */
export function complaint(
  { from, target, why, answerers, seen }: Question,
  answer: Answer | undefined,
): string | undefined {
  const asked = `${from} asked ${target} (${why})`
  if (answer === undefined) return `${asked} and got no answer`
  if (!answerers.includes(answer.pod)) return `${asked} and ${answer.pod} answered, not ${answerers.join(' or ')}`
  const client = answer.client.replace(/:\d+$/, '')
  return seen !== undefined && client !== seen ? `${asked} and was seen as ${client}, not ${seen}` : undefined
}
