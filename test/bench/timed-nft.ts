// A kernel whose nft tells how long each transaction was in the kernel, apart from its own start and reading.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import type { Kernel } from '../../src/kernel/kernel.ts'

const library = '/run/netlink-time.so'
const times = '/run/netlink-time'

export interface TimedNft {
  readonly kernel: Kernel
  /** ms of the transactions since it was asked last: their netlink calls. */
  readonly inKernel: () => number
}

export function timedNft(kernel: Kernel, netns: string): TimedNft {
  if (!existsSync(library)) execFileSync('gcc', ['-O2', '-shared', '-fPIC', '-o', library, `${import.meta.dirname}/netlink-time.c`])
  let total = 0
  const applyNft = async (text: string): Promise<void> => {
    rmSync(times, { force: true })
    execFileSync('nsenter', [`--net=${netns}`, 'nft', '-f', '-'], { input: text, env: { ...process.env, LD_PRELOAD: library, NETLINK_TIME: times } })
    total += Number(readFileSync(times, 'utf8').split(' ')[0]) / 1e6
  }
  const timed = new Proxy(kernel, {
    get(target, key) {
      const value: unknown = key === 'applyNft' ? applyNft : Reflect.get(target, key)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  const inKernel = (): number => {
    const since = total
    total = 0
    return since
  }
  return { kernel: timed, inKernel }
}
