import { execa } from 'execa'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { openKernel } from '../../src/kernel/linux-kernel.ts'
import { holdLock } from '../../src/kernel/process-lock.ts'
import { runInShell } from '../../src/kernel/shell-command.ts'
import { ShellWorkers } from '../../src/kernel/shell-workers.ts'
import { describeKernel, type ScratchNamespace, scratchNamespace, testLog, wire } from './scratch.ts'

describeKernel('sysctl', () => {
  test('a key of the namespace is read and written there, and nowhere else', async () => {
    await using ns = await scratchNamespace()
    await using own = openKernel({ log: testLog })
    const key = 'net/ipv4/conf/lo/route_localnet'
    const before = await own.readSysctl(key)
    const value = before === '0' ? '1' : '0'
    await ns.kernel.writeSysctl(key, value)
    expect(await ns.kernel.readSysctl(key)).toBe(value)
    expect(await own.readSysctl(key)).toBe(before)
  })

  test('what the kernel does not have is undefined to read and missing to write', async () => {
    await using ns = await scratchNamespace()
    await using own = openKernel({ log: testLog })
    for (const { readSysctl, writeSysctl } of [ns.kernel, own].map((kernel) => ({
      readSysctl: kernel.readSysctl.bind(kernel),
      writeSysctl: kernel.writeSysctl.bind(kernel),
    }))) {
      expect(await readSysctl('net/ipv4/conf/nowhere/forwarding')).toBeUndefined()
      await expect(writeSysctl('net/ipv4/conf/lo/nonsense', '1')).rejects.toMatchObject({ kind: 'missing' })
      await expect(writeSysctl('net/ipv4/conf/nowhere/forwarding', '1')).rejects.toMatchObject({ kind: 'missing' })
      await expect(readSysctl('../self/environ')).rejects.toThrow(TypeError)
    }
  })

  test('a value that the kernel refuses is an error', async () => {
    await using ns = await scratchNamespace()
    await expect(ns.kernel.writeSysctl('net/ipv4/conf/lo/route_localnet', 'x y')).rejects.toMatchObject({
      name: 'CommandError',
    })
  })
})

describeKernel('ruleset watch', () => {
  const fill = (n: number): string => `add element inet fairlead s { ${n} }\n`
  const foreign = async (ns: ScratchNamespace, n: number): Promise<string> =>
    await ns.run('nft', ['add', 'element', 'inet', 'fairlead', 's', `{ ${n} }`])

  /** A table with a set, and the calls that came since the watch has begun to work. */
  async function watched(ns: ScratchNamespace): Promise<() => number> {
    let calls = 0
    const works = ns.kernel.onRulesetChange(() => {
      calls += 1
    })
    await ns.kernel.applyNft('add table inet fairlead\nadd set inet fairlead s { type inet_service; }\n')
    await vi.waitFor(() => expect(works()).toBe(true), 60_000)
    await silence(() => calls)
    const before = calls
    return () => calls - before
  }

  test("another program's transactions are told of; ours, and those of iptables, are not", async () => {
    await using ns = await scratchNamespace({ iptables: 'nft' })
    const calls = await watched(ns)
    for (let n = 1; n < 4; n++) await ns.kernel.applyNft(fill(n))
    await expect(ns.kernel.applyNft('add rule inet fairlead nowhere accept\n')).rejects.toThrow('nowhere')
    await ns.iptables.restore(4, '*filter\n:OURS - [0:0]\nCOMMIT\n')
    await silence(calls)
    expect(calls()).toBe(0)
    for (let n = 1; n < 4; n++) {
      await foreign(ns, 10 + n)
      await vi.waitFor(() => expect(calls()).toBe(n), 60_000)
    }
  })

  test('one that is killed begins again, and says so', async () => {
    await using ns = await scratchNamespace({ iptables: 'nft' })
    const calls = await watched(ns)
    await ns.run('sh', ['-c', processesInside(ns, 'xtables-monitor', 'kill -9 $pid')])
    await vi.waitFor(() => expect(calls()).toBe(1), 60_000)
    // Another element each time: one that is there already is no transaction, and the first may come before the new one
    // listens.
    let next = 100
    await vi.waitFor(async () => {
      await foreign(ns, next++)
      expect(calls()).toBeGreaterThan(1)
    }, 60_000)
  })
})

describeKernel('monitor', () => {
  test('links, addresses, routes, permanent neighbours and FDB entries that change are told', async () => {
    await using ns = await scratchNamespace()
    await using other = await scratchNamespace()
    await wire({ namespace: ns, device: 'v0' }, { namespace: other, device: 'v0' })
    let calls = 0
    ns.kernel.onChange(() => {
      calls += 1
    })
    await listening(ns, () => calls)
    const changes = [
      'ip link set v0 mtu 1400',
      'ip addr add 10.1.0.1/24 dev v0',
      'ip route add 10.2.0.0/24 dev v0',
      'ip neigh replace 10.3.0.1 lladdr 02:00:00:00:00:01 dev v0 nud permanent',
      'bridge fdb add 02:00:00:00:00:01 dev v0 self permanent',
    ]
    for (const change of changes) {
      await silence(() => calls)
      const before = calls
      await ns.run('sh', ['-c', change])
      await vi.waitFor(() => expect({ change, told: calls > before }).toEqual({ change, told: true }), 60_000)
    }
  })

  test('a monitor that dies is started again, and that is told, since it may have missed something', async () => {
    await using ns = await scratchNamespace()
    let calls = 0
    ns.kernel.onChange(() => {
      calls += 1
    })
    await listening(ns, () => calls)
    await ns.run('sh', ['-c', monitorsInside(ns, 'kill -9 $pid')])
    await vi.waitFor(
      async () => expect((await ns.run('sh', ['-c', monitorsInside(ns, 'echo $pid')])).split('\n')).toHaveLength(2),
      60_000,
    )
    const before = calls
    let mtu = 1400
    await vi.waitFor(async () => {
      await ns.run('ip', ['link', 'set', 'lo', 'mtu', String(mtu++)])
      expect(calls).toBeGreaterThan(before)
    }, 60_000)
  })
})

describeKernel('lock', () => {
  test('one holder at a time, and free when it lets go', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'ft-lock-'))
    try {
      const path = join(directory, 'run', 'agent.lock')
      const first = await holdLock(path)
      await expect(holdLock(path)).rejects.toMatchObject({ kind: 'conflict' })
      await first[Symbol.asyncDispose]()
      const second = await holdLock(path)
      await expect(holdLock(path)).rejects.toMatchObject({ kind: 'conflict' })
      await second[Symbol.asyncDispose]()
    } finally {
      await rm(directory, { recursive: true })
    }
  })

  test('it keeps no one running', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'ft-lock-'))
    try {
      expect(await holderOf(join(directory, 'agent.lock'), '')).toMatchObject({ exitCode: 0, stdout: 'held' })
    } finally {
      await rm(directory, { recursive: true })
    }
  })

  test('free when its holder is killed', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'ft-lock-'))
    try {
      const path = join(directory, 'agent.lock')
      const holder = holderOf(path, 'setInterval(() => {}, 1000)')
      await new Promise((resolve) => {
        holder.stdout.once('data', resolve)
      })
      await expect(holdLock(path)).rejects.toMatchObject({ kind: 'conflict' })
      holder.kill('SIGKILL')
      await holder
      await vi.waitFor(async () => {
        const mine = await holdLock(path)
        await mine[Symbol.asyncDispose]()
      }, 60_000)
      expect(await holder).toMatchObject({ signal: 'SIGKILL' })
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})

describeKernel('shell workers', () => {
  test('closing waits for every script that was given', async () => {
    const workers = new ShellWorkers(1)
    const results = Promise.all(['echo 1', 'echo 2', 'echo 3'].map(async (script) => workers.run(script)))
    await workers[Symbol.asyncDispose]()
    expect((await results).map(({ stdout }) => stdout)).toEqual(['1\n', '2\n', '3\n'])
    await expect(workers.run('echo 4')).rejects.toThrow('closed')
  })

  test('scripts keep their outputs and statuses apart, however many there are', async () => {
    await using workers = new ShellWorkers(2)
    const results = await Promise.all(
      Array.from({ length: 30 }, async (_, i) => workers.run(`echo out ${i}; echo err ${i} >&2; (exit ${i})`)),
    )
    expect(results).toEqual(
      results.map((_, i) => ({ stdout: `out ${i}\n`, stderr: `err ${i}\n`, status: i, timedOut: false })),
    )
  })

  test('one that hangs is ended with all it started, and those that wait go on', async () => {
    await using workers = new ShellWorkers(1)
    const [hung, next] = await Promise.all([
      workers.run('sleep 1000 | cat', { timeout: 200 }),
      workers.run('echo next'),
    ])
    expect(hung).toMatchObject({ status: undefined, timedOut: true })
    expect(next).toMatchObject({ stdout: 'next\n', status: 0 })
  })

  test('a command that hangs or is killed without a word is told of in words', async () => {
    await using workers = new ShellWorkers(2)
    await expect(runInShell(workers, ['sleep', '1000'], { enter: [], timeout: 200 })).rejects.toThrow(
      'sleep 1000: it did not end within 0.2 s',
    )
    await expect(runInShell(workers, ['sh', '-c', 'kill -KILL $PPID'], { enter: [] })).rejects.toThrow('it was killed')
    await expect(runInShell(workers, ['false'], { enter: [] })).rejects.toThrow('false: exit status 1')
  })

  test('a shell that ended while it had nothing to do is not used again', async () => {
    await using workers = new ShellWorkers(1)
    const { stdout } = await workers.run('echo $$')
    process.kill(Number(stdout), 'SIGKILL')
    await vi.waitFor(async () => expect(await workers.run('echo there')).toMatchObject({ stdout: 'there\n' }), 60_000)
  })
})

/** Another process that takes the lock, says "held" and goes on. */
function holderOf(path: string, then: string) {
  const module = new URL('../../src/kernel/process-lock.ts', import.meta.url).href
  const script = `const { holdLock } = await import('${module}'); await holdLock('${path}'); console.log('held'); ${then}`
  return execa(process.execPath, ['--input-type=module', '-e', script], { reject: false, timeout: 20_000 })
}

/** Changes something until the monitors hear it: they have started. */
async function listening(ns: ScratchNamespace, calls: () => number): Promise<void> {
  let mtu = 60_000
  await vi.waitFor(async () => {
    await ns.run('ip', ['link', 'set', 'lo', 'mtu', String(mtu++)])
    expect(calls()).toBeGreaterThan(0)
  }, 60_000)
  await vi.waitFor(
    async () => expect((await ns.run('sh', ['-c', monitorsInside(ns, 'echo $pid')])).split('\n')).toHaveLength(2),
    60_000,
  )
}

/** Waits until no call has come for longer than the monitor holds one back. */
async function silence(calls: () => number): Promise<void> {
  await vi.waitFor(async () => {
    const before = calls()
    await new Promise((resolve) => {
      setTimeout(resolve, 150)
    })
    expect(calls()).toBe(before)
  }, 60_000)
}

/** A shell command that runs another for each `ip monitor` and `bridge monitor` in the namespace. */
function monitorsInside(ns: ScratchNamespace, command: string): string {
  return processesInside(ns, 'monitor', command)
}

/** The same for each process with this word in its command. */
function processesInside({ name }: ScratchNamespace, word: string, command: string): string {
  return `for pid in $(ip netns pids ${name}); do if grep -qzx -- ${word} /proc/$pid/cmdline; then ${command}; fi; done`
}
