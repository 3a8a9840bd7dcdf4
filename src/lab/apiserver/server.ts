// The lab's API server: the part of Kubernetes' API that a node's agents, kubectl and the lab's own controllers need,
// over TLS with tokens. Requests go api-handler -> resource-writes -> registry (what an object must be) -> store (what
// there is); list and watch read the store.
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
import { keepEventsForAnHour } from './event-retention.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import { Lister } from './list.ts'
import { Registry } from './registry.ts'
import { events, namespaces, resourceOfKind, serviceCidrs as serviceCidrKind, services } from './resources.ts'
import { ServiceAddresses } from './service-addresses.ts'
import { Store } from './store.ts'
import { Watchers } from './watch.ts'

export interface ApiServerOptions {
  /** Where to listen, and what the certificate is for. The first one is in the kubeconfigs. */
  readonly addresses: readonly string[]
  /** 0: any free one. */
  readonly port: number
  /**
   * Certificates, the token key and USER.kubeconfig are written here (0600). Kept between runs, so that kubeconfigs
   * stay good.
   */
  readonly dir: string
  /**
   * Each gets kubeconfigs for its agent and its kubelet, beside those of admin and controllers; later ones by {@link
   * writeKubeconfig}.
   */
  readonly nodes?: readonly string[]
  /** Other names for the certificate: "kubernetes.default.svc". */
  readonly names?: readonly string[]
  /** Where ClusterIPs come from, the main family first. 10.254.0.0/16 unless told. */
  readonly serviceCidrs?: readonly Cidr[]
  readonly log: Pick<Logger, 'debug' | 'info' | 'error'>
  /** Where kubelets write the output of containers, for `kubectl logs`. */
  readonly podLogs?: string
  /** A file to write down who did what. */
  readonly auditLog?: string
  /** Events kept per resource for watches to go on from; 4096 unless told. */
  readonly eventWindow?: number
  /** ms between bookmarks; a minute unless told, as the real server does. */
  readonly bookmarkMs?: number
  /** Whether a watch can begin with the list (sendInitialEvents); false is Kubernetes 1.33. */
  readonly watchList?: boolean
}

export interface ApiServer extends AsyncDisposable {
  /** "https://ADDRESS:PORT" */
  readonly url: string
  readonly port: number
  /** What it holds. What is put in here passes by everything that the API would refuse. */
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
      // keepAliveTimeout: longer than clients keep a connection for its next request, so that none is cut under one.
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
  log.info({ url, addresses }, 'the API server listens')
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
  const forget = keepEventsForAnHour(store.table(events))
  const end = (): void => {
    forget()
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
    // Watches end in good order first; a peer that does not read must not hold the end.
    setTimeout(() => server.closeAllConnections(), 200).unref()
  })
}
