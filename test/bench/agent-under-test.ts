// A real agent on the benchmark's private machine: a one-node cluster on loopback whose node stands in this very namespace.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { connectCluster } from '../../src/cluster/connect.ts'
import { startApiServer } from '../../src/lab/apiserver/server.ts'

const root = `${import.meta.dirname}/../..`

/** Starts API server and agent and waits until the agent has written its conflist. */
export async function startAgent(podCidr: string): Promise<AsyncDisposable> {
  execFileSync('ip', ['-batch', '-'], { input: 'link add uplink type veth peer name elsewhere\naddr add 192.168.99.1/24 dev uplink\nlink set uplink up\nlink set elsewhere up\n' })
  const dir = '/run/bench'
  mkdirSync(dir, { recursive: true })
  const server = await startApiServer({ addresses: ['127.0.0.1'], port: 6443, dir, log: pino({ level: 'silent' }) })
  await connectCluster({ kubeconfig: `${dir}/admin.kubeconfig` }).request('POST', '/api/v1/nodes', {
    body: { apiVersion: 'v1', kind: 'Node', metadata: { name: 'bench' }, spec: { podCIDR: podCidr, podCIDRs: [podCidr] }, status: { addresses: [{ type: 'InternalIP', address: '192.168.99.1' }] } },
  })
  const log = openSync(`${dir}/agent.log`, 'w')
  const agent = spawn(`${root}/bin/fairlead`, ['agent', '--node-name', 'bench', '--kubeconfig', `${dir}/admin.kubeconfig`, '--cni-conf-dir', `${dir}/net.d`], { stdio: ['ignore', log, log] })
  await untilReady(agent, `${dir}/net.d/05-fairlead.conflist`, `${dir}/agent.log`)
  return {
    async [Symbol.asyncDispose]() {
      agent.kill('SIGTERM')
      await new Promise((resolve) => agent.once('close', resolve))
      await server.close()
    },
  }
}

async function untilReady(agent: ChildProcess, conflist: string, log: string): Promise<void> {
  for (let tries = 0; !existsSync(conflist); tries++) {
    if (agent.exitCode !== null || tries > 300) throw new Error(`the agent did not become ready; its log says:\n${execFileSync('tail', ['-5', log], { encoding: 'utf8' })}`)
    await sleep(100)
  }
}
