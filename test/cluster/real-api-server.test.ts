// The reflector against a real kube-apiserver: what it does there that no server of ours can promise.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { ApiConnection } from '../../src/cluster/api-connection.ts'
import { connectCluster } from '../../src/cluster/connect.ts'
import { EventRecorder } from '../../src/cluster/event-recorder.ts'
import { keyOf, type KubeObject } from '../../src/cluster/kube-object.ts'
import { Reflector, type ReflectorLimits } from '../../src/cluster/reflector.ts'
import { openWatch, type WatchEvent } from '../../src/cluster/watch-stream.ts'
import { kubeconfigPath } from '../../src/lab/apiserver/kubeconfig.ts'
import { type RealApiServer, startRealApiServer } from '../support/real-api-server.ts'
import { describeRealApi } from '../real-control-plane.ts'

const waiting = { timeout: 60_000, interval: 50 }

describeRealApi('real API server', () => {
  let server: RealApiServer
  beforeAll(async () => {
    server = await startRealApiServer()
  })
  afterAll(async () => await server[Symbol.asyncDispose]())

  /** A reflector of Nodes that runs until the scope ends; `said` are its sentences. */
  function reflect(api: ApiConnection, limits: Partial<ReflectorLimits> = {}) {
    const said: string[] = []
    const say = (fields: unknown, sentence?: string): void => void said.push(sentence ?? String(fields))
    const stop = new AbortController()
    const reflector = new Reflector<string>({
      api,
      path: '/api/v1/nodes',
      project: (raw) => [keyOf(raw as KubeObject), (raw as KubeObject).metadata.labels?.['word'] ?? ''],
      equals: Object.is,
      log: { debug: say, info: say, warn: say } as Pick<Logger, 'debug' | 'info' | 'warn'>,
      limits,
    })
    const running = reflector.run(stop.signal)
    const names = (): string[] => [...reflector.snapshot.keys()].toSorted((a, b) => (a < b ? -1 : 1))
    return {
      reflector,
      said,
      names,
      async [Symbol.asyncDispose]() {
        stop.abort()
        await running
      },
    }
  }

  async function addNode(name: string, word = ''): Promise<void> {
    await server.api.request('POST', '/api/v1/nodes', {
      body: { apiVersion: 'v1', kind: 'Node', metadata: { name, labels: { word } } },
    })
  }

  async function clearNodes(): Promise<void> {
    const { items } = await server.api.request<{ items: KubeObject[] }>('GET', '/api/v1/nodes')
    for (const { metadata } of items) await server.api.request('DELETE', `/api/v1/nodes/${metadata.name}`)
  }

  test('a list streams on into a watch, without a page', async () => {
    await clearNodes()
    for (const name of ['a', 'b']) await addNode(name)
    await using nodes = reflect(server.api)
    await nodes.reflector.whenSynced()
    expect(nodes.names()).toEqual(['a', 'b'])
    await addNode('c', 'one')
    await server.api.request('DELETE', '/api/v1/nodes/a')
    await server.api.request('PATCH', '/api/v1/nodes/b', {
      body: { metadata: { labels: { word: 'two' } } },
      contentType: 'application/merge-patch+json',
    })
    await vi.waitFor(
      () => expect(Object.fromEntries(nodes.reflector.snapshot)).toEqual({ b: 'two', c: 'one' }),
      waiting,
    )
    expect(nodes.reflector.status()).toMatchObject({
      state: 'watching',
      relists: 0,
      reconnects: 0,
      lastError: undefined,
    })
    expect(nodes.said).toEqual(['first list complete'])
  })

  test('bookmarks end the list, and tell before a watch ends how far it saw, though nothing happened to what it selects', async () => {
    await clearNodes()
    await addNode('a')
    const query = {
      fieldSelector: 'metadata.name=a',
      sendInitialEvents: true,
      resourceVersionMatch: 'NotOlderThan',
      timeoutSeconds: 8,
    }
    const events = await openWatch(server.api, '/api/v1/nodes', query, {
      signal: AbortSignal.timeout(50_000),
      headersTimeoutMs: 10_000,
      deadlineMs: 50_000,
    })
    const seen: WatchEvent[] = []
    for await (const event of events) {
      seen.push(event)
      if (event.type === 'BOOKMARK' && event.listed) await addNode('other')
    }
    const [first, listed, ...later] = seen
    expect(first).toMatchObject({ type: 'ADDED', object: { metadata: { name: 'a' } } })
    expect(listed).toMatchObject({ type: 'BOOKMARK', listed: true })
    expect(later.map(({ type }) => type)).toEqual(later.map(() => 'BOOKMARK'))
    expect(placeOf(later.at(-1))).toBeGreaterThan(placeOf(listed))
  })

  test('a watch that the server ends goes on where it was', async () => {
    await clearNodes()
    await addNode('a')
    await using nodes = reflect(server.api, { watchSeconds: 2 })
    await vi.waitFor(() => expect(nodes.reflector.status().reconnects).toBeGreaterThan(2), waiting)
    await addNode('b')
    await vi.waitFor(() => expect(nodes.names()).toEqual(['a', 'b']), waiting)
    expect(nodes.reflector.status()).toMatchObject({ relists: 0, lastError: undefined })
  })

  test('a place that was compacted away is answered with 410, and one new list makes everything right', async () => {
    await clearNodes()
    for (const name of ['a', 'b']) await addNode(name)
    await using nodes = reflect(server.api)
    await nodes.reflector.whenSynced()
    await server.restart(async () => {
      // Behind the server's back: nobody is there to send an event of it, and history from before it is gone.
      await server.etcd('kv/deleterange', { key: base64('/registry/minions/a') })
      for (let i = 0; i < 10; i++) await server.etcd('kv/put', { key: base64('/elsewhere'), value: base64(String(i)) })
      const { header } = (await server.etcd('kv/put', { key: base64('/elsewhere'), value: '' })) as {
        header: { revision: string }
      }
      await server.etcd('kv/compaction', { revision: header.revision, physical: true })
    })
    await vi.waitFor(() => expect(nodes.names()).toEqual(['b']), waiting)
    expect(nodes.reflector.status()).toMatchObject({ relists: 1 })
    expect(nodes.said.join('\n')).toContain('too old resource version')
    await addNode('c')
    await vi.waitFor(() => expect(nodes.names()).toEqual(['b', 'c']), waiting)
  })

  test('a token that is revoked is asked for anew, and the next one goes on where the first one stood', async () => {
    await clearNodes()
    await addNode('a')
    const tokens = [await serviceAccount('first'), await serviceAccount('second')] as const
    const kubeconfig = join(server.dir, 'service-account.kubeconfig')
    const write = (token: string): void =>
      writeFileSync(
        kubeconfig,
        readFileSync(kubeconfigPath(server.dir, 'admin'), 'utf8').replace(/token: .*/, `token: ${token}`),
      )
    write(tokens[0])
    await using nodes = reflect(connectCluster({ kubeconfig }), { watchSeconds: 2 })
    await nodes.reflector.whenSynced()
    await server.api.request('DELETE', '/api/v1/namespaces/kube-system/serviceaccounts/first')
    await vi.waitFor(() => expect(nodes.reflector.status().lastError).toBe('Unauthorized'), waiting)
    await addNode('b')
    write(tokens[1])
    await vi.waitFor(() => expect(nodes.names()).toEqual(['a', 'b']), waiting)
    expect(nodes.reflector.status().lastError).toBeUndefined()
  })

  test('an agent writes Events and counts in them; they are read under both versions', async () => {
    const said: string[] = []
    const say = (fields: unknown, sentence?: string): void => void said.push(sentence ?? JSON.stringify(fields))
    const stop = new AbortController()
    const recorder = new EventRecorder({
      api: await server.as('agent-node1'),
      reporter: { controller: 'fairlead.dev/agent', instance: 'node1' },
      log: { debug: say, info: say, warn: say },
    })
    const running = recorder.run(stop.signal)
    for (const regarding of [
      { apiVersion: 'v1', kind: 'Service', namespace: 'default', name: 'web', uid: 'u1' },
      { apiVersion: 'v1', kind: 'Node', name: 'node1', uid: 'n1' },
    ]) {
      const query = { fieldSelector: `involvedObject.uid=${regarding.uid}` }
      const events = async () =>
        (await server.api.request<{ items: unknown[] }>('GET', '/api/v1/namespaces/default/events', { query })).items
      const words = { type: 'Warning', reason: 'ExternalIPTaken', action: 'ProgramService' } as const
      for (const count of [1, 2, 3]) {
        recorder.record({ regarding, ...words, note: 'it is taken' })
        await vi.waitFor(
          async () =>
            expect(await events()).toMatchObject([
              {
                involvedObject: regarding,
                message: 'it is taken',
                reportingComponent: 'fairlead.dev/agent',
                reportingInstance: 'node1',
                ...words,
                ...(count === 1 ? {} : { series: { count } }),
              },
            ]),
          waiting,
        )
      }
    }
    stop.abort()
    await running
    expect(said).toEqual([])
  })

  test('agents read what deploy/base/rbac.yaml says and write nothing but Events; a kubelet has its own node alone', async () => {
    const agent = await server.as('agent-node1')
    for (const path of [
      '/api/v1/nodes',
      '/api/v1/pods',
      '/api/v1/services',
      '/api/v1/namespaces',
      '/apis/discovery.k8s.io/v1/endpointslices',
      '/apis/networking.k8s.io/v1/networkpolicies',
    ]) {
      expect(await agent.request('GET', path)).toHaveProperty('items')
    }
    await expect(
      agent.request('POST', '/api/v1/nodes', { body: { metadata: { name: 'mine' } } }),
    ).rejects.toMatchObject({ status: 403, reason: 'Forbidden' })
    const kubelet = await server.as('kubelet-node1')
    await kubelet.request('POST', '/api/v1/nodes', { body: { metadata: { name: 'node1' } } })
    await expect(
      kubelet.request('POST', '/api/v1/nodes', { body: { metadata: { name: 'node2' } } }),
    ).rejects.toMatchObject({ status: 403 })
    await expect(kubelet.request('GET', '/api/v1/pods')).rejects.toMatchObject({ status: 403 })
    expect(
      await kubelet.request('GET', '/api/v1/pods', { query: { fieldSelector: 'spec.nodeName=node1' } }),
    ).toHaveProperty('items')
  })

  /** A token of a new account that may read Nodes. */
  async function serviceAccount(name: string): Promise<string> {
    await server.api.request('POST', '/api/v1/namespaces/kube-system/serviceaccounts', { body: { metadata: { name } } })
    const role = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'fairlead' }
    await server.api.request('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      body: {
        metadata: { name },
        roleRef: role,
        subjects: [{ kind: 'ServiceAccount', name, namespace: 'kube-system' }],
      },
    })
    const { status } = await server.api.request<{ status: { token: string } }>(
      'POST',
      `/api/v1/namespaces/kube-system/serviceaccounts/${name}/token`,
      { body: { spec: { expirationSeconds: 600 } } },
    )
    return status.token
  }
})

function placeOf(event: WatchEvent | undefined): number {
  return event?.type === 'BOOKMARK' ? Number(event.resourceVersion) : Number.NaN
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
