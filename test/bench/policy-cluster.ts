// A cluster of many policies and pods, for benchmarks: fifty namespaces of equal size, each with policies of every
// kind.
import { addressFromBigInt, addressToBigInt, parseAddress } from '../../src/net/address.ts'
import { parseInterfaceName } from '../../src/net/interface-name.ts'
import type { LocalPod } from '../../src/policy/local-pod.ts'
import { type ScratchPod, wired } from '../../src/policy/scratch-cluster.ts'

const namespaces = 50
const apps = 10

/** Takes objects, one after the other. */
export interface PolicyObjects {
  namespace(name: string, labels: string): unknown
  pod(key: string, pod: Required<Pick<ScratchPod, 'labels' | 'node' | 'ports'>> & { readonly address: string }): unknown
  policy(key: string, spec: object): unknown
}

export interface PolicyClusterSize {
  readonly policies: number
  readonly pods: number
  /** How many of the pods are this node's: of every namespace and app alike. */
  readonly locals: number
}

export interface PolicyCluster<T> {
  readonly cluster: T
  /** This node's pods. */
  readonly locals: LocalPod[]
  /** One pod more, at the end of the list. @returns its key */
  readonly add: (local: boolean) => string
}

/** @param nodes names of this node and of another */
export function policyCluster<T extends PolicyObjects>(
  cluster: T,
  size: PolicyClusterSize,
  nodes: readonly [string, string] = ['n1', 'n2'],
): PolicyCluster<T> {
  const locals: LocalPod[] = []
  for (let n = 0; n < namespaces; n++) cluster.namespace(`ns-${n}`, `team=t${n % 5}`)
  let count = 0
  const add = (local: boolean): string => {
    const n = count++
    const [key, address] = [
      `ns-${n % namespaces}/pod-${n}`,
      addressFromBigInt(addressToBigInt(parseAddress('10.100.0.0')) + BigInt(n), 4),
    ]
    cluster.pod(key, {
      labels: `app=app-${Math.floor(n / namespaces) % apps},pod-template-hash=h${n % 97},release=r${n % 7}`,
      node: local ? nodes[0] : nodes[1],
      address,
      ports: [{ name: 'http', containerPort: 8080 }],
    })
    if (local) locals.push({ ...wired(key, address), port: parseInterfaceName(`veth${n}`) })
    return key
  }
  for (let n = 0; n < size.pods; n++) add(n < size.locals)
  for (let n = 0; n < size.policies; n++)
    cluster.policy(`ns-${n % namespaces}/policy-${n}`, specOf(Math.floor(n / namespaces), n))
  return { cluster, locals, add }
}

function specOf(kind: number, n: number): object {
  const app = (i: number): object => ({ podSelector: { matchLabels: { app: `app-${i % apps}` } } })
  const ports = [{ port: 80 }, { port: 443 }, { protocol: 'UDP', port: 53 }]
  switch (kind % 4) {
    case 0:
      return { ...app(kind), ingress: [{ from: [app(kind + 1), app(kind + 2)], ports }] }
    case 1:
      return {
        ...app(kind),
        ingress: [
          {
            from: [{ namespaceSelector: { matchLabels: { team: `t${n % 5}` } }, ...app(kind + 1) }],
            ports: [{ port: 'http' }],
          },
        ],
      }
    case 2:
      return {
        ...app(kind),
        ingress: [
          {
            from: [
              { ipBlock: { cidr: `172.${16 + (n % 16)}.0.0/16`, except: [`172.${16 + (n % 16)}.${n % 256}.0/24`] } },
            ],
            ports: [{ port: 8000, endPort: 8999 }],
          },
        ],
      }
    default:
      return {
        ...app(kind),
        policyTypes: ['Egress'],
        egress: [
          { to: [app(kind + 1), { namespaceSelector: { matchLabels: { team: `t${n % 5}` } } }], ports },
          { to: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8'] } }] },
        ],
      }
  }
}
