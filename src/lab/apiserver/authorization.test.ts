import { get } from 'node:https'
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { kubeconfigPath } from './kubeconfig.ts'
import { type TestApiServer, startTestApiServer } from '../../../test/support/lab-api-server.ts'

const pod = (name: string) => ({ metadata: { name }, spec: { containers: [{ name: 'c', image: 'x' }] } })
const pods = '/api/v1/namespaces/default/pods'
const rbac = '/apis/rbac.authorization.k8s.io/v1'

let server: TestApiServer
beforeAll(async () => {
  server = await startTestApiServer()
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

/** Sends a GET as another user and returns the status code and the message. */
async function getAs(
  user: string,
  path: string,
  client: 'admin' | 'agent-node1' = 'admin',
): Promise<{ code: number | undefined; message?: string }> {
  const { users } = parse(await readFile(kubeconfigPath(server.dir, client), 'utf8')) as {
    users: { user: { token: string } }[]
  }
  const headers = { authorization: `Bearer ${users[0]?.user.token}`, 'impersonate-user': user }
  const { promise, resolve, reject } = Promise.withResolvers<{ code: number | undefined; message?: string }>()
  get(`${server.url}${path}`, { headers, rejectUnauthorized: false }, (response) => {
    let text = ''
    response
      .on('data', (piece: Buffer) => (text += piece.toString()))
      .on('end', () => resolve({ ...(JSON.parse(text) as object), code: response.statusCode }))
  }).on('error', reject)
  return await promise
}

test.each([
  '/api/v1/nodes',
  '/api/v1/pods',
  '/api/v1/services',
  '/api/v1/namespaces',
  '/apis/discovery.k8s.io/v1/endpointslices',
  '/apis/networking.k8s.io/v1/networkpolicies',
])('lets an agent read %s but not write it (deploy/base/rbac.yaml)', async (path) => {
  const agent = server.as('agent-node1')
  await expect(agent.request('GET', path)).resolves.toMatchObject({ items: expect.any(Array) })
  const one =
    path.endsWith('/nodes') || path.endsWith('/namespaces')
      ? `${path}/x`
      : path.replace(/(\/v1)\/(\w+)$/, '$1/namespaces/default/$2/x')
  await expect(agent.request('DELETE', one)).rejects.toMatchObject({ status: 403 })
})

test('names user, verb, resource and namespace in a rejection', async () => {
  const agent = server.as('agent-node1')
  const user = 'User "system:serviceaccount:kube-system:fairlead"'
  await expect(agent.request('POST', pods, { body: pod('x') })).rejects.toMatchObject({
    status: 403,
    reason: 'Forbidden',
    message: `pods is forbidden: ${user} cannot create resource "pods" in API group "" in the namespace "default"`,
  })
  await expect(agent.request('GET', '/api/v1/secrets')).rejects.toMatchObject({
    message: `secrets is forbidden: ${user} cannot list resource "secrets" in API group "" at the cluster scope`,
  })
  await expect(
    agent.request('PATCH', '/apis/apps/v1/namespaces/default/deployments/web/scale', { body: {} }),
  ).rejects.toMatchObject({
    message:
      `deployments.apps "web" is forbidden: ${user} cannot patch resource "deployments/scale" ` +
      'in API group "apps" in the namespace "default"',
  })
})

test('allows kubelets and controllers their work and nothing else', async () => {
  const [kubelet, controllers] = [server.as('kubelet-node1'), server.as('controllers')]
  await kubelet.request('POST', '/api/v1/nodes', { body: { metadata: { name: 'node1' } } })
  await controllers.request('POST', pods, { body: pod('work') })
  await controllers.request('POST', `${pods}/work/binding`, { body: { target: { kind: 'Node', name: 'node1' } } })
  await kubelet.request('PATCH', `${pods}/work/status`, {
    body: { status: { phase: 'Running' } },
    contentType: 'application/merge-patch+json',
  })
  await expect(kubelet.request('POST', pods, { body: pod('own') })).rejects.toMatchObject({ status: 403 })
  await expect(controllers.request('DELETE', '/api/v1/nodes/node1')).rejects.toMatchObject({ status: 403 })
})

test('applies a Role once it is bound, in its namespace and to the names it lists', async () => {
  const { api } = server
  const may = async (path: string): Promise<number | undefined> => (await getAs('ann', path)).code
  expect(await may('/api/v1/namespaces/default/configmaps/one')).toBe(403)
  for (const name of ['one', 'two'])
    await api.request('POST', '/api/v1/namespaces/default/configmaps', { body: { metadata: { name } } })
  await api.request('POST', `${rbac}/namespaces/default/roles`, {
    body: {
      metadata: { name: 'reader' },
      rules: [{ apiGroups: [''], resources: ['configmaps'], resourceNames: ['one'], verbs: ['get'] }],
    },
  })
  await api.request('POST', `${rbac}/namespaces/default/rolebindings`, {
    body: {
      metadata: { name: 'ann' },
      roleRef: { kind: 'Role', name: 'reader' },
      subjects: [{ kind: 'User', name: 'ann' }],
    },
  })
  expect(await may('/api/v1/namespaces/default/configmaps/one')).toBe(200)
  expect(await may('/api/v1/namespaces/default/configmaps/two')).toBe(403)
  expect(await may('/api/v1/namespaces/kube-system/configmaps/one')).toBe(403)
  expect(await may('/api/v1/namespaces/default/configmaps')).toBe(403)
})

test('lets only administrators impersonate', async () => {
  expect(await getAs('system:serviceaccount:kube-system:fairlead', '/api/v1/nodes')).toMatchObject({ code: 200 })
  expect(await getAs('kubernetes-admin', '/api/v1/secrets', 'agent-node1')).toMatchObject({
    code: 403,
    message: expect.stringContaining('cannot impersonate resource "users"') as string,
  })
})
