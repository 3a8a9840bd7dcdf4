// A kernel whose nft tells what each transaction cost in the kernel, apart from nft's own start and reading.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import type { Kernel } from '../../src/kernel/kernel.ts'

const library = '/run/netlink-time.so'
const times = '/run/netlink-time'

/** ms of CPU. */
export interface NftCost {
  /** Of netlink calls. */
  readonly kernel: number
  /** Of all else that nft did. */
  readonly nft: number
}

export interface TimedNft {
  readonly kernel: Kernel
  /** What the last transaction cost. */
  readonly cost: () => NftCost
}

export function timedNft(kernel: Kernel, netns: string): TimedNft {
  if (!existsSync(library))
    execFileSync('gcc', ['-O2', '-shared', '-fPIC', '-o', library, `${import.meta.dirname}/netlink-time.c`])
  const applyNft = async (text: string): Promise<void> => {
    rmSync(times, { force: true })
    execFileSync('nsenter', [`--net=${netns}`, 'nft', '-f', '-'], {
      input: text,
      env: { ...process.env, LD_PRELOAD: library, NETLINK_TIME: times },
    })
  }
  const timed = new Proxy(kernel, {
    get(target, key) {
      const value: unknown = key === 'applyNft' ? applyNft : Reflect.get(target, key)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  const cost = (): NftCost => {
    const [inside = 0, all = 0] = readFileSync(times, 'utf8')
      .split(' ')
      .map((ns) => Number(ns) / 1e6)
    return { kernel: inside, nft: all - inside }
  }
  return { kernel: timed, cost }
}
