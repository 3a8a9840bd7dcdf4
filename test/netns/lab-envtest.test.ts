// The lab on a real etcd and kube-apiserver: the same commands, the same tour, and nothing left behind.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test, vi } from 'vitest'
import { describeRealApi } from '../real-control-plane.ts'
import { describeKernel } from './scratch.ts'
import { root, TestLab } from './test-lab.ts'

const deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', namespace: 'shop' },
  spec: {
    replicas: 3,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image: 'echo' }] },
    },
  },
}
const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } }

test('without KUBEBUILDER_ASSETS, one sentence and exit code 2, and nothing is made', async () => {
  const name = `ft-envtest-none-${process.pid}`
  const up = async (folder: string) =>
    await execa(join(root, 'bin/fairlead'), ['lab', 'up', '--name', name, '--control-plane', 'envtest'], {
      reject: false,
      env: { KUBEBUILDER_ASSETS: folder },
    })
  expect(await up('')).toMatchObject({
    exitCode: 2,
    stdout: '',
    stderr:
      'fairlead: --control-plane envtest needs KUBEBUILDER_ASSETS: set it to a folder that holds etcd and kube-apiserver',
  })
  expect(await up('/nowhere')).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('found no program /nowhere/etcd') as string,
  })
  expect(existsSync(`/run/flab/${name}`)).toBe(false)
})

describeRealApi('lab on a real control plane', () => {
  describeKernel('with the kernel', () => {
    test('it comes up, the tour is right, its controllers work, and down leaves nothing', async () => {
      await using lab = new TestLab(`ft-envtest-${process.pid}`)
      await lab.succeed(['up', '--nodes', '2', '--control-plane', 'envtest'])
      expect(await lab.succeed(['kubectl', '--', 'get', '--raw', '/version'])).toMatch(/"gitVersion": ?"v1\.\d+\.\d+/)
      expect(await lab.succeed(['status'])).toContain('control plane envtest')
      await lab.succeed(['tour'])

      await lab.apply(namespace, deployment)
      const pods = await lab.readyPods(3)
      expect(new Set(pods.map(({ node }) => node))).toEqual(new Set(['node1', 'node2']))
      await lab.apply({ ...deployment, spec: { ...deployment.spec, replicas: 1 } })
      await lab.readyPods(1)
      // With all that is in it, which a real server leaves to the controllers.
      await lab.delete(namespace)
      expect(await lab.pods()).toEqual([])

      expect(await lab.run(['up', '--control-plane', 'builtin'])).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining('runs with --control-plane envtest: take it down first') as string,
      })
      await lab.succeed(['down'])
      expect(readdirSync('/run/netns').filter((name) => name.startsWith(`flab-${lab.name}-`))).toEqual([])
      expect(existsSync(`/run/flab/${lab.name}`)).toBe(false)
      expect(commandsWith(`/run/flab/${lab.name}/`)).toEqual([])
    }, 300_000)

    test('when one of its programs ends, the lab says which and where to look', async () => {
      await using lab = new TestLab(`ft-envtest-end-${process.pid}`)
      await lab.succeed(['up', '--nodes', '1', '--control-plane', 'envtest'])
      const [etcd] = commandsWith(`--data-dir=/run/flab/${lab.name}/etcd`)
      process.kill(Number(etcd?.pid), 'SIGKILL')
      await vi.waitFor(
        async () =>
          expect(await lab.run(['status'])).toMatchObject({
            exitCode: 1,
            stderr: expect.stringContaining('has ended') as string,
          }),
        { timeout: 60_000, interval: 200 },
      )
      expect(commandsWith(`/run/flab/${lab.name}/kube-apiserver`)).toEqual([])
    }, 300_000)
  })
})

function commandsWith(text: string): { pid: string; command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => ({ pid, command: commandLine(pid) }))
    .filter(({ command }) => command.includes(text))
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}
