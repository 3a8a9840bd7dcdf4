// Network namespaces for tests: made for one test, named ft-*, and gone after it whatever happens.
import { randomBytes } from 'node:crypto'
import pino from 'pino'
import { afterAll, describe } from 'vitest'
import type { Iptables, IptablesBackend } from '../../src/iptables/iptables.ts'
import { openIptables } from '../../src/iptables/linux-iptables.ts'
import type { Kernel } from '../../src/kernel/kernel.ts'
import { openKernel } from '../../src/kernel/linux-kernel.ts'
import { createNamespace, deleteNamespace, namespacePath } from '../../src/kernel/netns.ts'
import { runProgram } from '../../src/kernel/run.ts'

/** `FAIRLEAD_LOG=debug` shows the commands that a test runs. */
export const testLog = pino({ level: process.env['FAIRLEAD_LOG'] ?? 'silent' })

/** Like `describe`, for tests that need the real kernel: skipped by name without root. */
export function describeKernel(name: string, body: () => void): void {
  const root = process.getuid?.() === 0
  // oxlint-disable-next-line vitest/valid-title -- the title is the caller's
  describe.skipIf(!root)(root ? name : `${name} (skipped: needs root)`, () => {
    // Only those left by a test that ran into its time limit: `await using` has removed the others.
    afterAll(async () => {
      for (const left of standing) await deleteNamespace(left)
      standing.clear()
    })
    body()
  })
}

export interface ScratchNamespace extends AsyncDisposable {
  readonly name: string
  /** /run/netns/NAME */
  readonly path: string
  /** The kernel as seen from inside. */
  readonly kernel: Kernel
  /** iptables inside, on the backend that was asked for. */
  readonly iptables: Iptables
  /** Runs a program inside and answers what it printed. @throws {CommandError} when it fails. */
  run(program: string, args: readonly string[], options?: { input?: string }): Promise<string>
}

const standing = new Set<string>()

/** A new namespace with lo up: `await using node = await scratchNamespace()`. */
export async function scratchNamespace(options: { iptables?: IptablesBackend } = {}): Promise<ScratchNamespace> {
  const name = `ft-${randomBytes(4).toString('hex')}`
  const path = namespacePath(name)
  standing.add(name)
  await createNamespace(name)
  const kernel = openKernel({ netns: path, log: testLog })
  const scratch: ScratchNamespace = {
    name,
    path,
    kernel,
    iptables: openIptables(
      kernel,
      options.iptables === undefined ? { log: testLog } : { log: testLog, backend: options.iptables },
    ),
    run: async (program, args, { input } = {}) => {
      const { stdout } = await runProgram(
        'nsenter',
        [`--net=${path}`, program, ...args],
        input === undefined ? {} : { input },
      )
      return stdout
    },
    [Symbol.asyncDispose]: async () => {
      await kernel[Symbol.asyncDispose]()
      await deleteNamespace(name)
      standing.delete(name)
    },
  }
  await scratch.run('ip', ['link', 'set', 'lo', 'up'])
  return scratch
}

/** One end of a wire: a device and, where given, its address as `ip addr add` takes it ("10.0.0.1/24"). */
export interface WireEnd {
  readonly namespace: ScratchNamespace
  readonly device: string
  readonly address?: string
}

/** A veth pair between two scratch namespaces, both ends up and with their addresses (IPv6 ones usable at once). */
export async function wire(one: WireEnd, other: WireEnd): Promise<void> {
  await one.namespace.run('ip', [
    'link',
    'add',
    one.device,
    'type',
    'veth',
    'peer',
    'name',
    other.device,
    'netns',
    other.namespace.path,
  ])
  for (const { namespace, device, address } of [one, other]) {
    if (address !== undefined)
      await namespace.run('ip', ['addr', 'add', address, 'dev', device, ...(address.includes(':') ? ['nodad'] : [])])
    await namespace.run('ip', ['link', 'set', device, 'up'])
  }
}
