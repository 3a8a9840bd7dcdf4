// What every client of the lab counts on, expected of the lab's API server and of the real one in the same words.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ApiConnection, Query } from '../../src/cluster/api-connection.ts'
import { connectCluster } from '../../src/cluster/connect.ts'
import { apiServers, type RunningApiServer } from './api-servers.ts'
import { rawRequest } from './raw-api.ts'

interface Kube {
  metadata: {
    name: string
    uid: string
    resourceVersion: string
    generation?: number
    labels?: Record<string, string>
    deletionTimestamp?: string
    annotations?: Record<string, string>
  }
  spec: Record<string, unknown>
  status: Record<string, unknown>
  data?: Record<string, string>
}

interface List {
  metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number }
  items: Kube[]
}

interface WatchEvent {
  type: string
  object: Kube & { code?: number; reason?: string; message?: string; kind: string }
}

const maps = '/api/v1/namespaces/default/configmaps'
const pods = '/api/v1/namespaces/default/pods'
const deployments = '/apis/apps/v1/namespaces/default/deployments'
const json = 'application/json-patch+json'
const merge = 'application/merge-patch+json'
const strategic = 'application/strategic-merge-patch+json'
const pod = (name: string, spec: object = {}) => ({
  metadata: { name },
  spec: { containers: [{ name: 'c', image: 'x' }], ...spec },
})
const deployment = (name: string) => ({
  metadata: { name },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: {
        containers: [
          { name: 'a', image: 'one', ports: [{ containerPort: 80 }] },
          { name: 'b', image: 'two' },
        ],
      },
    },
  },
})

for (const { name, missing, start } of apiServers) {
  // oxlint-disable-next-line vitest/valid-title -- the title says why it is skipped
  describe.skipIf(missing !== undefined)(missing === undefined ? name : `${name} (skipped: ${missing})`, () => {
    let server: RunningApiServer
    let api: ApiConnection
    beforeAll(async () => {
      server = await start()
      api = connectCluster({ kubeconfig: server.kubeconfig })
    }, 180_000)
    afterAll(async () => await server.close())

    const raw = async (path: string, options = {}) => await rawRequest(server.kubeconfig, path, options)
    const make = async (name: string, more: object = {}): Promise<Kube> =>
      await api.request<Kube>('POST', maps, { body: { metadata: { name, ...more }, data: { a: '1' } } })

    /** The first events of a watch, until so many are there or the server ends it. */
    async function watched(
      path: string,
      query: Query,
      count: number,
      meanwhile: () => Promise<unknown> = async () => undefined,
    ): Promise<WatchEvent[]> {
      const abort = new AbortController()
      const stream = await api.stream(
        path,
        { watch: true, ...query },
        { signal: abort.signal, headersTimeoutMs: 20_000, deadlineMs: 50_000 },
      )
      const events: WatchEvent[] = []
      await meanwhile()
      try {
        for await (const line of stream.lines) {
          events.push(JSON.parse(line.toString()) as WatchEvent)
          if (events.length === count) break
        }
      } finally {
        abort.abort()
      }
      return events
    }
    const seen = (events: readonly WatchEvent[]): string[] =>
      events.map(({ type, object }) => `${type} ${object.metadata.name}`)

    test('an object is made once, read, replaced and deleted', async () => {
      const made = await make('life')
      expect(made).toMatchObject({ kind: 'ConfigMap', apiVersion: 'v1', metadata: { namespace: 'default' } })
      await expect(make('life')).rejects.toMatchObject({
        status: 409,
        reason: 'AlreadyExists',
        message: 'configmaps "life" already exists',
      })
      const replaced = await api.request<Kube>('PUT', `${maps}/life`, { body: { ...made, data: { a: '2' } } })
      expect(Number(replaced.metadata.resourceVersion)).toBeGreaterThan(Number(made.metadata.resourceVersion))
      expect(await api.request('DELETE', `${maps}/life`)).toMatchObject({
        kind: 'Status',
        status: 'Success',
        details: { name: 'life', kind: 'configmaps', uid: made.metadata.uid },
      })
      await expect(api.request('GET', `${maps}/life`)).rejects.toMatchObject({
        status: 404,
        reason: 'NotFound',
        message: 'configmaps "life" not found',
      })
    })

    test('of two writers that read the same version the second is refused; a write that changes nothing keeps the version', async () => {
      const made = await make('contested')
      const written = await api.request<Kube>('PUT', `${maps}/contested`, { body: { ...made, data: { a: '2' } } })
      await expect(
        api.request('PUT', `${maps}/contested`, { body: { ...made, data: { a: '3' } } }),
      ).rejects.toMatchObject({ status: 409, reason: 'Conflict' })
      await expect(
        api.request('DELETE', `${maps}/contested`, { body: { preconditions: { uid: 'another' } } }),
      ).rejects.toMatchObject({ status: 409 })
      const same = await api.request<Kube>('PATCH', `${maps}/contested`, {
        contentType: merge,
        body: { data: { a: '2' } },
      })
      expect(same.metadata.resourceVersion).toBe(written.metadata.resourceVersion)
    })

    test('generateName makes names that differ', async () => {
      const names = [1, 2].map(
        async () =>
          (await api.request<Kube>('POST', maps, { body: { metadata: { generateName: 'made-' } } })).metadata.name,
      )
      const [a, b] = await Promise.all(names)
      expect(a).toMatch(/^made-[a-z0-9]{5}$/)
      expect(b).not.toBe(a)
    })

    test('the three patches', async () => {
      await make('patched', { labels: { 'a/b': '1', gone: 'x' } })
      const patch = async (contentType: string, body: unknown, path = `${maps}/patched`): Promise<Kube> =>
        await api.request<Kube>('PATCH', path, { contentType, body })
      expect((await patch(merge, { metadata: { labels: { gone: null } }, data: { b: '2' } })).data).toEqual({
        a: '1',
        b: '2',
      })
      const operations = [
        { op: 'test', path: '/metadata/labels/a~1b', value: '1' },
        { op: 'replace', path: '/metadata/labels/a~1b', value: '2' },
        { op: 'remove', path: '/data/b' },
      ]
      expect(await patch(json, operations)).toMatchObject({ metadata: { labels: { 'a/b': '2' } }, data: { a: '1' } })
      await expect(patch(json, operations)).rejects.toMatchObject({ status: 422, reason: 'Invalid' })

      await api.request('POST', deployments, { body: deployment('merged') })
      const containers = [
        { name: 'c', image: 'three' },
        { name: 'a', env: [{ name: 'X', value: '1' }] },
        { name: 'b', $patch: 'delete' },
      ]
      const merged = await patch(
        strategic,
        { spec: { template: { spec: { '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }], containers } } } },
        `${deployments}/merged`,
      )
      expect((merged.spec['template'] as Kube).spec['containers']).toMatchObject([
        { name: 'c', image: 'three' },
        { name: 'a', image: 'one', ports: [{ containerPort: 80 }], env: [{ name: 'X', value: '1' }] },
      ])
      expect(merged.metadata.generation).toBe(2)
      await expect(
        api.request('PATCH', `${maps}/patched`, { contentType: 'application/xml', body: {} }),
      ).rejects.toMatchObject({ status: 415 })
    })

    test('selectors by label and field, and a field that nothing is selected by', async () => {
      for (const [pod_, tier] of [
        ['sel-a', 'front'],
        ['sel-b', 'back'],
      ] as const)
        await api.request('POST', pods, {
          body: { ...pod(pod_, { nodeName: `node-${tier}` }), metadata: { name: pod_, labels: { tier, sel: 'yes' } } },
        })
      const namesBy = async (query: Query): Promise<string[]> =>
        (await api.request<List>('GET', pods, { query: { labelSelector: 'sel', ...query } })).items.map(
          ({ metadata }) => metadata.name,
        )
      expect(await namesBy({})).toEqual(['sel-a', 'sel-b'])
      expect(await namesBy({ labelSelector: 'sel=yes,tier notin (front)' })).toEqual(['sel-b'])
      expect(await namesBy({ labelSelector: 'sel,!tier' })).toEqual([])
      expect(await namesBy({ fieldSelector: 'spec.nodeName=node-front' })).toEqual(['sel-a'])
      expect(await namesBy({ fieldSelector: 'metadata.name!=sel-a,status.phase=Pending' })).toEqual(['sel-b'])
      await expect(namesBy({ fieldSelector: 'spec.colour=red' })).rejects.toMatchObject({
        status: 400,
        message: expect.stringContaining('field label not supported: spec.colour') as string,
      })
      await expect(namesBy({ labelSelector: 'a in b' })).rejects.toMatchObject({ status: 400 })
    })

    test('pages are one picture, whatever changes between them', async () => {
      for (const letter of ['a', 'b', 'c', 'd']) await make(`page-${letter}`, { labels: { paged: 'yes' } })
      const first = await api.request<List>('GET', maps, { query: { limit: 3 } })
      expect(first.items).toHaveLength(3)
      expect(first.metadata.remainingItemCount).toBeGreaterThan(0)
      await api.request('DELETE', `${maps}/page-d`)
      const rest = await api.request<List>('GET', maps, { query: { continue: first.metadata.continue } })
      expect(rest.metadata.resourceVersion).toBe(first.metadata.resourceVersion)
      expect([...first.items, ...rest.items].map(({ metadata }) => metadata.name)).toEqual(
        expect.arrayContaining(['page-a', 'page-b', 'page-c', 'page-d']),
      )
      expect(rest.metadata.continue ?? '').toBe('')
    })

    test('a watch goes on from a version, and a deletion carries a version of its own', async () => {
      const { metadata } = await make('w-start')
      await make('w-next')
      const events = await watched(maps, { resourceVersion: metadata.resourceVersion }, 3, async () => {
        await api.request('PATCH', `${maps}/w-next`, { contentType: merge, body: { data: { a: '2' } } })
        await api.request('DELETE', `${maps}/w-next`)
      })
      expect(seen(events)).toEqual(['ADDED w-next', 'MODIFIED w-next', 'DELETED w-next'])
      const versions = events.map(({ object }) => Number(object.metadata.resourceVersion))
      expect(versions).toEqual([...new Set(versions)].toSorted((a, b) => a - b))
    })

    test('to a selector, entering is ADDED and leaving is DELETED', async () => {
      const { metadata } = await make('moving', { labels: { side: 'out' } })
      const label = async (side: string) =>
        await api.request('PATCH', `${maps}/moving`, { contentType: merge, body: { metadata: { labels: { side } } } })
      const events = await watched(
        maps,
        { resourceVersion: metadata.resourceVersion, labelSelector: 'side=in' },
        2,
        async () => {
          await label('in')
          await label('out')
        },
      )
      expect(seen(events)).toEqual(['ADDED moving', 'DELETED moving'])
    })

    test('a WatchList begins with what there is and says where that ends', async (context) => {
      await make('wl-one', { labels: { wl: 'yes' } })
      const query = {
        labelSelector: 'wl',
        sendInitialEvents: true,
        resourceVersionMatch: 'NotOlderThan',
        allowWatchBookmarks: true,
      }
      const events = await watched(maps, query, 2)
      if (events[0]?.object.message?.includes('RequestWatchProgress is disabled') === true)
        return context.skip('this etcd is too old: a WatchList needs 3.4.25, 3.5.8 or later')
      expect(seen(events.slice(0, 1))).toEqual(['ADDED wl-one'])
      expect(events[1]).toMatchObject({
        type: 'BOOKMARK',
        object: { kind: 'ConfigMap', metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } },
      })
      const afterwards = await watched(
        maps,
        { resourceVersion: events[1]!.object.metadata.resourceVersion },
        1,
        async () => await make('wl-two'),
      )
      expect(seen(afterwards)).toEqual(['ADDED wl-two'])
      await expect(api.request('GET', maps, { query: { watch: true, sendInitialEvents: true } })).rejects.toMatchObject(
        { status: 422, reason: 'Invalid' },
      )
      await expect(api.request('GET', maps, { query: { sendInitialEvents: true } })).rejects.toMatchObject({
        status: 422,
      })
    })

    test('a version that is no longer kept is answered with 410, one that is not there yet with a Timeout that client-go knows', async () => {
      const { metadata: place } = await make('forgotten')
      await server.forgetHistory()
      const events = await watched(maps, { resourceVersion: place.resourceVersion }, 2)
      expect(events).toMatchObject([{ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } }])
      const { metadata } = await api.request<List>('GET', maps)
      await expect(
        api.request('GET', maps, {
          query: { resourceVersion: Number(metadata.resourceVersion) + 100_000, resourceVersionMatch: 'NotOlderThan' },
        }),
      ).rejects.toMatchObject({
        status: 504,
        reason: 'Timeout',
        message: expect.stringContaining('Too large resource version') as string,
      })
    })

    test('status, scale and binding have paths of their own', async () => {
      await api.request('POST', pods, { body: { ...pod('sub'), status: { phase: 'Running' } } })
      expect(
        await api.request('PATCH', `${pods}/sub`, { contentType: merge, body: { status: { phase: 'Running' } } }),
      ).toMatchObject({ status: { phase: 'Pending' } })
      await api.request('POST', `${pods}/sub/binding`, {
        body: {
          apiVersion: 'v1',
          kind: 'Binding',
          metadata: { name: 'sub' },
          target: { kind: 'Node', name: 'node-x' },
        },
      })
      await expect(
        api.request('POST', `${pods}/sub/binding`, {
          body: {
            apiVersion: 'v1',
            kind: 'Binding',
            metadata: { name: 'sub' },
            target: { kind: 'Node', name: 'node-y' },
          },
        }),
      ).rejects.toMatchObject({ status: 409 })
      expect(
        await api.request('PATCH', `${pods}/sub/status`, {
          contentType: merge,
          body: { status: { phase: 'Running' } },
        }),
      ).toMatchObject({ spec: { nodeName: 'node-x' }, status: { phase: 'Running' } })
      // Bound: it stays until its kubelet lets go of it.
      expect((await api.request<Kube>('DELETE', `${pods}/sub`)).metadata.deletionTimestamp).toBeDefined()
      await api.request('DELETE', `${pods}/sub`, { body: { gracePeriodSeconds: 0 } })
      await expect(api.request('GET', `${pods}/sub`)).rejects.toMatchObject({ status: 404 })

      await api.request('POST', deployments, { body: deployment('scaled') })
      expect(await api.request('GET', `${deployments}/scaled/scale`)).toMatchObject({
        kind: 'Scale',
        apiVersion: 'autoscaling/v1',
        spec: { replicas: 2 },
        status: { selector: 'app=scaled' },
      })
      await api.request('PATCH', `${deployments}/scaled/scale`, { contentType: merge, body: { spec: { replicas: 5 } } })
      expect(await api.request('GET', `${deployments}/scaled`)).toMatchObject({
        spec: { replicas: 5 },
        metadata: { generation: 2 },
      })
    })

    test('an object with a finalizer goes when it is taken off', async () => {
      await make('held', { finalizers: ['lab.fairlead.dev/wait'] })
      await api.request('DELETE', `${maps}/held`)
      expect((await api.request<Kube>('GET', `${maps}/held`)).metadata.deletionTimestamp).toBeDefined()
      await api.request('PATCH', `${maps}/held`, { contentType: merge, body: { metadata: { finalizers: null } } })
      await expect(api.request('GET', `${maps}/held`)).rejects.toMatchObject({ status: 404 })
    })

    test('a dry run leaves no trace; unknown fields are named when asked to be strict', async () => {
      expect(
        await api.request('POST', maps, { query: { dryRun: 'All' }, body: { metadata: { name: 'dry' } } }),
      ).toMatchObject({ metadata: { name: 'dry' } })
      await expect(api.request('GET', `${maps}/dry`)).rejects.toMatchObject({ status: 404 })
      const misspelt = pod('misspelt', { containers: [{ name: 'c', image: 'x', imgae: 'y' }] })
      await expect(
        api.request('POST', pods, { query: { fieldValidation: 'Strict' }, body: misspelt }),
      ).rejects.toMatchObject({
        status: 400,
        message:
          'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.containers[0].imgae"',
      })
      expect((await api.request<Kube>('POST', pods, { body: misspelt })).spec['containers']).not.toHaveProperty(
        '[0].imgae',
      )
    })

    test('a Service gets its address, and a taken node port is refused', async () => {
      const services = '/api/v1/namespaces/default/services'
      const service = (name: string, spec: object) => ({ metadata: { name }, spec: { ports: [{ port: 80 }], ...spec } })
      const made = await api.request<Kube>('POST', services, {
        body: service('svc', { type: 'NodePort', ports: [{ port: 80, nodePort: 30_080 }] }),
      })
      expect(made.spec).toMatchObject({
        clusterIPs: [made.spec['clusterIP']],
        ipFamilies: ['IPv4'],
        ipFamilyPolicy: 'SingleStack',
        internalTrafficPolicy: 'Cluster',
        externalTrafficPolicy: 'Cluster',
        sessionAffinity: 'None',
        ports: [{ port: 80, protocol: 'TCP', targetPort: 80, nodePort: 30_080 }],
      })
      expect(made.spec['clusterIP']).toMatch(/^10\.254\./)
      await expect(
        api.request('POST', services, {
          body: service('taken', { type: 'NodePort', ports: [{ port: 80, nodePort: 30_080 }] }),
        }),
      ).rejects.toMatchObject({
        status: 422,
        message: expect.stringContaining('provided port is already allocated') as string,
      })
    })

    test.each([
      [pods, ['Name', 'Ready', 'Status', 'Restarts', 'Age', 'IP', 'Node', 'Nominated Node', 'Readiness Gates']],
      ['/api/v1/services', ['Name', 'Type', 'Cluster-IP', 'External-IP', 'Port(s)', 'Age', 'Selector']],
      [
        '/api/v1/nodes',
        [
          'Name',
          'Status',
          'Roles',
          'Age',
          'Version',
          'Internal-IP',
          'External-IP',
          'OS-Image',
          'Kernel-Version',
          'Container-Runtime',
        ],
      ],
      ['/api/v1/namespaces', ['Name', 'Status', 'Age']],
      ['/api/v1/endpoints', ['Name', 'Endpoints', 'Age']],
      [maps, ['Name', 'Data', 'Age']],
      ['/api/v1/secrets', ['Name', 'Type', 'Data', 'Age']],
      [
        '/api/v1/events',
        ['Last Seen', 'Type', 'Reason', 'Object', 'Subobject', 'Source', 'Message', 'First Seen', 'Count', 'Name'],
      ],
      [deployments, ['Name', 'Ready', 'Up-to-date', 'Available', 'Age', 'Containers', 'Images', 'Selector']],
      [
        '/apis/apps/v1/daemonsets',
        [
          'Name',
          'Desired',
          'Current',
          'Ready',
          'Up-to-date',
          'Available',
          'Node Selector',
          'Age',
          'Containers',
          'Images',
          'Selector',
        ],
      ],
      ['/apis/discovery.k8s.io/v1/endpointslices', ['Name', 'AddressType', 'Ports', 'Endpoints', 'Age']],
      ['/apis/networking.k8s.io/v1/networkpolicies', ['Name', 'Pod-Selector', 'Age']],
      [
        '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
        ['Name', 'Role', 'Age', 'Users', 'Groups', 'ServiceAccounts'],
      ],
    ])('the table of %s', async (path, titles) => {
      const { json, contentType } = await raw(path, {
        headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' },
      })
      expect(contentType).toContain('application/json')
      const table = json as {
        kind: string
        apiVersion: string
        columnDefinitions: { name: string }[]
        rows: { cells: unknown[] }[] | null
      }
      expect(table).toMatchObject({ kind: 'Table', apiVersion: 'meta.k8s.io/v1' })
      expect(table.columnDefinitions.map(({ name }) => name)).toEqual(titles)
      for (const { cells } of table.rows ?? []) expect(cells).toHaveLength(titles.length)
    })

    test('the cells of a table', async () => {
      const cells = async (path: string): Promise<unknown[]> =>
        (
          (await raw(path, { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } })).json as {
            rows: { cells: unknown[] }[]
          }
        ).rows[0]!.cells
      await api.request('POST', pods, { body: pod('cells', { nodeName: 'node-z' }) })
      expect(await cells(`${pods}/cells`)).toEqual([
        'cells',
        '0/1',
        'Pending',
        expect.anything(),
        expect.stringMatching(/^\d+s$/),
        '<none>',
        'node-z',
        '<none>',
        '<none>',
      ])
      await api.request('POST', deployments, { body: deployment('cells') })
      expect(await cells(`${deployments}/cells`)).toEqual([
        'cells',
        '0/2',
        0,
        0,
        expect.stringMatching(/^\d+s$/),
        'a,b',
        'one,two',
        'app=cells',
      ])
      const slice = {
        metadata: { name: 'cells' },
        addressType: 'IPv4',
        ports: [{ port: 80 }],
        endpoints: ['1', '2', '3', '4'].map((last) => ({ addresses: [`172.30.0.${last}`] })),
      }
      const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices'
      await api.request('POST', slices, { body: slice })
      expect((await cells(`${slices}/cells`)).slice(0, 4)).toEqual([
        'cells',
        'IPv4',
        '80',
        '172.30.0.1,172.30.0.2,172.30.0.3 + 1 more...',
      ])
      const policies = '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies'
      await api.request('POST', policies, {
        body: {
          metadata: { name: 'cells' },
          spec: {
            podSelector: {
              matchLabels: { b: '2', a: '1' },
              matchExpressions: [{ key: 'c', operator: 'In', values: ['y', 'x'] }],
            },
          },
        },
      })
      expect((await cells(`${policies}/cells`))[1]).toBe('a=1,b=2,c in (x,y)')
    })

    test('discovery, whole and piece by piece', async () => {
      expect(await api.request('GET', '/api')).toMatchObject({ kind: 'APIVersions', versions: ['v1'] })
      const { groups } = await api.request<{ groups: { name: string }[] }>('GET', '/apis')
      expect(groups.map(({ name }) => name)).toEqual(
        expect.arrayContaining(['apps', 'discovery.k8s.io', 'networking.k8s.io', 'rbac.authorization.k8s.io']),
      )
      const { resources } = await api.request<{
        resources: { name: string; kind: string; namespaced: boolean; shortNames?: string[] }[]
      }>('GET', '/api/v1')
      expect(resources.find(({ name }) => name === 'pods')).toMatchObject({
        kind: 'Pod',
        namespaced: true,
        shortNames: ['po'],
      })
      expect(resources.map(({ name }) => name)).toEqual(
        expect.arrayContaining(['pods/status', 'pods/binding', 'pods/log', 'nodes', 'services', 'events']),
      )
      await expect(api.request('GET', '/apis/nothing.io/v1')).rejects.toMatchObject({ status: 404 })
      const aggregated = await raw('/apis', {
        headers: { accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' },
      })
      expect(aggregated.contentType).toContain('as=APIGroupDiscoveryList')
      expect(aggregated.json).toMatchObject({ kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2' })
      expect(await api.request('GET', '/openapi/v3')).toMatchObject({
        paths: { 'apis/apps/v1': { serverRelativeURL: expect.stringContaining('/openapi/v3/apis/apps/v1') as string } },
      })
    })

    test('who nobody knows is refused, and who may not is told what and where', async () => {
      expect(await raw(pods, { headers: { authorization: 'Bearer nobody' } })).toMatchObject({
        status: 401,
        json: { kind: 'Status', reason: 'Unauthorized' },
      })
      const asAnn = { headers: { 'impersonate-user': 'ann' } }
      expect(await raw('/api/v1/nodes', asAnn)).toMatchObject({
        status: 403,
        json: {
          reason: 'Forbidden',
          message: 'nodes is forbidden: User "ann" cannot list resource "nodes" in API group "" at the cluster scope',
        },
      })
      expect(await raw(`${deployments}/web/scale`, asAnn)).toMatchObject({
        status: 403,
        json: {
          message:
            'deployments.apps "web" is forbidden: User "ann" cannot get resource "deployments/scale" in API group "apps" in the namespace "default"',
        },
      })
    })
  })
}
