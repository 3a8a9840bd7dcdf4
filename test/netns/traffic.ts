// TCP through the kernel: a server in one namespace that says who called, and a client in another.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { ScratchNamespace } from './scratch.ts'

const server = `require('net').createServer((s) => s.end(s.remoteAddress)).listen(Number(process.argv[1]), () => console.log('up'))`
const client = `const s = require('net').connect({ host: process.argv[1], port: Number(process.argv[2]), timeout: 2000 })
s.on('timeout', () => s.destroy(new Error('timeout'))).on('error', (e) => console.log('no answer: ' + e.message)).pipe(process.stdout)`

/** Listens until disposed. */
export async function listenIn(namespace: ScratchNamespace, port: number): Promise<AsyncDisposable & { port: number }> {
  const child = spawn('nsenter', [`--net=${namespace.path}`, process.execPath, '-e', server, String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      child.kill()
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    },
  }
}

/** The address that the server saw, or "no answer: ...". */
export async function callFrom(namespace: ScratchNamespace, host: string, port: number): Promise<string> {
  return namespace.run(process.execPath, ['-e', client, host, String(port)])
}
