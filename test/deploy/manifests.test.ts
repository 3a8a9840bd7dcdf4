// deploy/ as kubectl takes it: every folder builds, and every object is one that an API server accepts to the last
// field.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { loadConfig } from '../../src/agent/config.ts'
import { findResource } from '../../src/lab/apiserver/resources.ts'
import { startTestApiServer } from '../support/lab-api-server.ts'
import { apiServers, type RunningApiServer } from '../netns/api-servers.ts'
import { build, deploy, folders, kubectlMissing, type Manifest } from './folders.ts'

interface Container {
  readonly name: string
  readonly env?: readonly { readonly name: string; readonly value?: string }[]
  readonly startupProbe: Probe
  readonly livenessProbe: Probe
  readonly readinessProbe: Probe
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: number }
}

/** As `make image` names it. */
const made = /^IMAGE \?= (.+)$/m.exec(readFileSync(join(import.meta.dirname, '../../Makefile'), 'utf8'))?.[1]
const cleaners = ['cleanup', 'cleanup-foreign']
const agents = folders.filter((folder) => !cleaners.includes(folder))

test('there is a folder for each way to install', () => {
  expect(folders).toEqual([
    'base',
    ...cleaners,
    'k3s',
    'kind',
    'kubeadm',
    'network-unavailable',
    'next-to-another-cni',
    'next-to-kube-proxy',
  ])
})

test('every object in deploy/ has only fields that its kind has', async () => {
  await using server = await startTestApiServer()
  for (const { apiVersion, kind, metadata, ...rest } of plainObjects()) {
    const [group = '', version = ''] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion]
    const plural = `${kind.toLowerCase()}s`
    const resource = findResource(group, version, plural)
    expect(resource, `${apiVersion} ${kind}`).toBeDefined()
    const path = `${group === '' ? '/api/v1' : `/apis/${apiVersion}`}${resource?.namespaced === true ? '/namespaces/default' : ''}/${plural}`
    const body = {
      apiVersion,
      kind,
      ...rest,
      metadata: {
        ...metadata,
        name: `${metadata.name}-checked`,
        ...(resource?.namespaced === true ? { namespace: 'default' } : {}),
      },
    }
    await server.api.request('POST', path, { body, query: { dryRun: 'All', fieldValidation: 'Strict' } })
  }
})

const missing = kubectlMissing
// oxlint-disable-next-line vitest/valid-title -- the title says why it is skipped
describe.skipIf(missing !== undefined)(missing === undefined ? 'kubectl' : `kubectl (skipped: ${missing})`, () => {
  test.each(folders)('builds deploy/%s: all in kube-system, all the same image', async (folder) => {
    const objects = await build(folder)
    expect(new Set(objects.map(({ metadata }) => metadata.namespace))).toEqual(
      new Set(['kube-system', ...(cleaners.includes(folder) ? [] : [undefined])]),
    )
    const images = [...JSON.stringify(objects).matchAll(/"image":"([^"]*)"/g)].map(([, image]) => image)
    expect(new Set(images)).toEqual(new Set([made]))
  })

  test.each(agents)(
    'deploy/%s: the agent knows every variable, and is asked for its health where it answers',
    async (folder) => {
      const daemonSet = (await build(folder)).find(({ kind }) => kind === 'DaemonSet') as unknown as {
        spec: { template: { spec: { containers: Container[] } } }
      }
      const [agent] = daemonSet.spec.template.spec.containers
      const environment = Object.fromEntries(agent!.env!.map(({ name, value = 'node1' }) => [name, value]))
      const { nodeName, healthAddress } = loadConfig({ flags: {}, environment })
      expect(nodeName).toBe('node1')
      const asked = [agent!.startupProbe, agent!.livenessProbe, agent!.readinessProbe].map(
        ({ httpGet }) => `0.0.0.0:${httpGet.port}${httpGet.path}`,
      )
      expect(asked).toEqual([`${healthAddress}/livez`, `${healthAddress}/livez`, `${healthAddress}/readyz`])
    },
  )

  for (const { name, missing, start } of apiServers) {
    const title = missing === undefined ? `on ${name}` : `on ${name} (skipped: ${missing})`
    // oxlint-disable-next-line vitest/valid-title -- the title says why the suite is skipped
    describe.skipIf(missing !== undefined)(title, () => {
      let server: RunningApiServer
      beforeAll(async () => {
        server = await start()
      })
      afterAll(async () => await server.close())

      test.each(folders)('apply -k deploy/%s --dry-run=server', async (folder) => {
        const objects = await build(folder)
        const { stdout } = await execa('kubectl', [
          '--kubeconfig',
          server.kubeconfig,
          'apply',
          '--dry-run=server',
          '--validate=strict',
          '-k',
          join(deploy, folder),
        ])
        const accepted = stdout
          .split('\n')
          .map((line) =>
            /^([a-z]+)\S*\/(\S+) (?:created|configured|unchanged) \(server dry run\)$/.exec(line)?.slice(1).join('/'),
          )
        expect(new Set(accepted)).toEqual(
          new Set(objects.map(({ kind, metadata }) => `${kind.toLowerCase()}/${metadata.name}`)),
        )
      })
    })
  }
})

/** As they stand in the files: before kustomize has put them together, which takes a kubectl. */
function plainObjects(): Manifest[] {
  const files = folders
    .flatMap((folder) => readdirSync(join(deploy, folder)).map((name) => join(deploy, folder, name)))
    .filter((file) => file.endsWith('.yaml'))
  const objects = files.flatMap((file) =>
    parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS() as Manifest),
  )
  return objects.filter(({ apiVersion }) => /^(v1|apps\/v1|rbac\.authorization\.k8s\.io\/v1)$/.test(apiVersion))
}
