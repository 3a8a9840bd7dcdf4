// A real agent on the benchmark's private machine: a one-node cluster on loopback whose node stands in this very
// namespace. The API server is a process of its own, since a fork costs in proportion to the memory of who forks: the
// driver that starts the plugins has to stay small.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const root = `${import.meta.dirname}/../..`
const dir = '/run/bench'

/** Starts API server and agent and waits until the agent has written its conflist. */
export async function startAgent(podCidr: string): Promise<AsyncDisposable> {
  execFileSync('ip', ['-batch', '-'], {
    input:
      'link add uplink type veth peer name elsewhere\naddr add 192.168.99.1/24 dev uplink\nlink set uplink up\nlink set elsewhere up\n',
  })
  mkdirSync(dir, { recursive: true })
  const server = spawn(process.execPath, [`${import.meta.dirname}/api-server-process.ts`, dir, podCidr], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await Promise.race([once(server.stdout, 'data'), ended(server, 'the API server')])
  const log = openSync(`${dir}/agent.log`, 'w')
  const agent = spawn(
    `${root}/bin/fairlead`,
    ['agent', '--node-name', 'bench', '--kubeconfig', `${dir}/admin.kubeconfig`, '--cni-conf-dir', `${dir}/net.d`],
    { stdio: ['ignore', log, log] },
  )
  await untilReady(agent)
  return {
    async [Symbol.asyncDispose]() {
      const gone = [agent, server].map((child) => once(child, 'close'))
      agent.kill('SIGTERM')
      server.kill('SIGTERM')
      await Promise.all(gone)
    },
  }
}

async function untilReady(agent: ChildProcess): Promise<void> {
  for (let tries = 0; !existsSync(`${dir}/net.d/05-fairlead.conflist`); tries++) {
    if (agent.exitCode !== null || tries > 300)
      throw new Error(
        `the agent did not become ready; its log says:\n${execFileSync('tail', ['-n', '5', `${dir}/agent.log`], { encoding: 'utf8' })}`,
      )
    await sleep(100)
  }
}

async function ended(child: ChildProcess, what: string): Promise<never> {
  await once(child, 'close')
  throw new Error(`${what} ended with ${child.exitCode ?? child.signalCode}`)
}
