// The lab's API server: the part of the Kubernetes API that agents, kubectl and the lab's controllers need, over TLS
// with tokens. A write passes api-handler -> resource-writes -> registry (defaults and validation) -> store; lists and
// watches read the store.
import { mkdir } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Logger } from 'pino'
import { canonicalAddress } from '../../net/address.ts'
import { type Cidr, formatCidr, parseCidr } from '../../net/cidr.ts'
import { ApiHandler } from './api-handler.ts'
import { AuditLog } from './audit-log.ts'
import { ensureTokenKey, type UserName } from './authentication.ts'
import { bootstrapObjects } from './bootstrap-roles.ts'
import { ensureAuthority, issueServerCertificate } from './certificates.ts'
import { systemNamespaces } from './deletion.ts'
import { expireEvents } from './events.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import { Lister } from './list.ts'
import { Registry } from './registry.ts'
import { events, namespaces, resourceOfKind, serviceCidrs as serviceCidrKind, services } from './resources.ts'
import { ServiceAddresses } from './service-addresses.ts'
import { Store } from './store.ts'
import { Watchers } from './watch.ts'

export interface ApiServerOptions {
  /** Addresses to listen on, and subjects of the certificate. Kubeconfigs use the first one. */
  readonly addresses: readonly string[]
  /** 0 for any free port. */
  readonly port: number
  /**
   * The folder for certificates, the token key and USER.kubeconfig (0600). It is kept between runs, so that kubeconfigs
   * stay valid.
   */
  readonly dir: string
  /**
   * Nodes that get kubeconfigs for their agent and kubelet, in addition to admin and controllers. Nodes that join later
   * get theirs by {@link writeKubeconfig}.
   */
  readonly nodes?: readonly string[]
  /** More names for the certificate: "kubernetes.default.svc". */
  readonly names?: readonly string[]
  /** The blocks of ClusterIPs, the primary family first; by default 10.254.0.0/16. */
  readonly serviceCidrs?: readonly Cidr[]
  readonly log: Pick<Logger, 'debug' | 'info' | 'error'>
  /** The folder in which kubelets write the output of containers, for `kubectl logs`. */
  readonly podLogs?: string
  /** A file that records which user used which verb on which resource. */
  readonly auditLog?: string
  /** The number of events kept per resource, from which watches resume; by default 4096. */
  readonly eventWindow?: number
  /** ms between bookmarks; by default one minute, as the real server. */
  readonly bookmarkMs?: number
  /** Whether a watch can begin with a list (sendInitialEvents). false behaves like Kubernetes 1.33. */
  readonly watchList?: boolean
}

export interface ApiServer extends AsyncDisposable {
  /** "https://ADDRESS:PORT" */
  readonly url: string
  readonly port: number
  /** The stored objects. A write to it bypasses defaults, validation and authorization. */
  readonly store: Store
  /** Ends every watch and stops listening. */
  close(): Promise<void>
}

/** @throws the listen error (EADDRINUSE, EADDRNOTAVAIL), with the address in its message. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { addresses, dir, log } = options
  const [first] = addresses
  if (first === undefined)
    throw new TypeError('Expected at least one address for the API server to listen on, got none')
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const authority = await ensureAuthority(dir)
  const pair = await issueServerCertificate(authority, [...addresses, ...(options.names ?? [])])
  const { handler, store, end } = await assemble(options)

  const servers: Server[] = []
  const close = async (): Promise<void> => {
    end()
    await Promise.all(servers.map((server) => closeServer(server)))
  }
  try {
    for (const host of addresses) {
      // Longer than clients keep idle connections, so that the server does not close one just as a request arrives.
      const server = createServer(
        { key: pair.key, cert: pair.certificate, keepAliveTimeout: 120_000, requestTimeout: 60_000 },
        (request, response) => void handler.handle(request, response),
      )
      servers.push(server)
      await listen(server, host, servers.length === 1 ? options.port : portOf(servers[0]))
    }
  } catch (error) {
    await close()
    throw error
  }
  const port = portOf(servers[0])
  const url = `https://${canonicalAddress(first)?.includes(':') === true ? `[${first}]` : first}:${port}`
  for (const user of usersOf(options.nodes ?? [])) await writeKubeconfig({ dir, url, user })
  log.info({ url, addresses }, 'API server listening')
  return { url, port, store, close, [Symbol.asyncDispose]: close }
}

function usersOf(nodes: readonly string[]): UserName[] {
  return ['admin', 'controllers', ...nodes.flatMap((node) => [`agent-${node}`, `kubelet-${node}`] as const)]
}

async function assemble(options: ApiServerOptions): Promise<{ handler: ApiHandler; store: Store; end: () => void }> {
  const {
    dir,
    log,
    eventWindow = 4096,
    bookmarkMs = 60_000,
    watchList = true,
    serviceCidrs = [parseCidr('10.254.0.0/16')],
  } = options
  const store = new Store({ windowSize: eventWindow })
  const registry = new Registry(store, new ServiceAddresses(serviceCidrs, store.table(services)))
  for (const name of systemNamespaces)
    registry.create(namespaces, undefined, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  registry.create(serviceCidrKind, undefined, {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'ServiceCIDR',
    metadata: { name: 'kubernetes' },
    spec: { cidrs: serviceCidrs.map(formatCidr) },
  })
  for (const object of bootstrapObjects()) {
    const resource = resourceOfKind(object.apiVersion, object.kind)
    if (resource !== undefined) registry.create(resource, object.metadata.namespace, object)
  }
  const watchers = new Watchers(store, { bookmarkMs, watchList })
  const stopExpiring = expireEvents(store.table(events))
  const end = (): void => {
    stopExpiring()
    watchers.close()
  }
  return {
    handler: new ApiHandler({
      store,
      registry,
      lister: new Lister(store),
      watchers,
      tokenKey: await ensureTokenKey(dir),
      podLogs: options.podLogs,
      audit: new AuditLog(options.auditLog),
      log,
    }),
    store,
    end,
  }
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function portOf(server: Server | undefined): number {
  return (server?.address() as AddressInfo | null)?.port ?? 0
}

async function closeServer(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeIdleConnections()
    // Watches get time to end cleanly, but a client that does not read must not delay the shutdown.
    setTimeout(() => server.closeAllConnections(), 200).unref()
  })
}
