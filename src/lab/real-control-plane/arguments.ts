// How etcd and kube-apiserver are told to run: as Kubernetes' envtest starts them, but with the authorization of a real
// cluster.

export interface ControlPlaneNetwork {
  /** Where the API server listens. */
  readonly address: string
  readonly port: number
  /** Of etcd, on loopback: for clients, and for other members, of which there are none. */
  readonly etcdPort: number
  readonly etcdPeerPort: number
  readonly serviceCidr: string
}

export function etcdUrl({ etcdPort }: ControlPlaneNetwork): string {
  return `http://127.0.0.1:${etcdPort}`
}

/** @param directory of its data. */
export function etcdArguments(directory: string, network: ControlPlaneNetwork): string[] {
  const [url, peerUrl] = [etcdUrl(network), `http://127.0.0.1:${network.etcdPeerPort}`]
  return [
    '--name=lab',
    `--data-dir=${directory}`,
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=lab=${peerUrl}`,
  ]
}

export interface ApiServerFiles {
  readonly certificate: string
  readonly key: string
  readonly tokens: string
  /** Signs the tokens of service accounts, and checks them. */
  readonly serviceAccountKey: string
  /** Where it writes what it makes by itself. */
  readonly directory: string
}

export function apiServerArguments(files: ApiServerFiles, network: ControlPlaneNetwork): string[] {
  return [
    `--etcd-servers=${etcdUrl(network)}`,
    `--advertise-address=${network.address}`,
    `--bind-address=${network.address}`,
    `--secure-port=${network.port}`,
    `--cert-dir=${files.directory}`,
    `--tls-cert-file=${files.certificate}`,
    `--tls-private-key-file=${files.key}`,
    `--token-auth-file=${files.tokens}`,
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${files.serviceAccountKey}`,
    `--service-account-signing-key-file=${files.serviceAccountKey}`,
    `--service-cluster-ip-range=${network.serviceCidr}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    // Both wait for a part of the controller manager that nobody plays here: one for the account that every namespace
    // gets, which no pod of the lab uses, the other for taking a new node's not-ready taint off again.
    '--disable-admission-plugins=ServiceAccount,TaintNodesByCondition',
    '--allow-privileged=true',
  ]
}
