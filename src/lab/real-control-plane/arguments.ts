// The command line arguments of etcd and kube-apiserver: like Kubernetes' envtest, but with the authorization of a real
// cluster.

export interface ControlPlaneNetwork {
  /** The address that the API server listens on. */
  readonly address: string
  readonly port: number
  /** etcd's ports on the loopback device: for clients, and for other members, of which there are none. */
  readonly etcdPort: number
  readonly etcdPeerPort: number
  readonly serviceCidr: string
}

export function etcdUrl({ etcdPort }: ControlPlaneNetwork): string {
  return `http://127.0.0.1:${etcdPort}`
}

/** @param directory the folder for etcd's data. */
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
  /** The key that signs and verifies service account tokens. */
  readonly serviceAccountKey: string
  /** The folder for files that kube-apiserver generates. */
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
    // Both need parts of the controller manager that the lab does not have: ServiceAccount needs the default account of
    // each namespace, TaintNodesByCondition needs the controller that removes a new node's not-ready taint.
    '--disable-admission-plugins=ServiceAccount,TaintNodesByCondition',
    '--allow-privileged=true',
  ]
}
