// kill -9 of the agent while a runtime adds and deletes pods: what a real kubelet does next puts everything right, and
// nothing stays behind.
import { expect, test, vi } from 'vitest'
import { AgentMachine } from './agent-machine.ts'
import { Random } from './random.ts'
import { describeKernel } from './scratch.ts'

const rounds = process.env['FAIRLEAD_LONG'] === '1' ? 50 : 2
const lives = 100
const workers = 8

/** Who holds which address, from the end of an ADD to the begin of its DEL. */
class Ledger {
  readonly #holders = new Map<string, string>()
  /** What should not have happened. */
  readonly faults: string[] = []

  take(address: string, holder: string): void {
    const other = this.#holders.get(address)
    if (other !== undefined) this.faults.push(`${address} is given to ${holder} while ${other} has it`)
    this.#holders.set(address, holder)
  }

  free(holder: string): void {
    for (const [address, each] of this.#holders) if (each === holder) this.#holders.delete(address)
  }
}

/**
 * A pod from its sandbox's creation to its removal, as a runtime does it: what fails is undone with DEL, and a DEL that
 * fails is sent again.
 */
async function live(
  machine: AgentMachine,
  name: string,
  random: Random,
  ledger: Ledger,
  done: () => Promise<void>,
): Promise<void> {
  const pod = { containerId: name, netns: name }
  const hostPort = 10_000 + Number(name.replace(/\D/g, ''))
  const conf = random.chance(0.3)
    ? {
        runtimeConfig: {
          portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }],
          bandwidth: { ingressRate: 1e8, ingressBurst: 1e8 },
        },
      }
    : {}
  await machine.addPodNamespace(name)
  const added = await machine.cni('ADD', pod, conf)
  await done()
  if (added.code !== 0 && added.code !== 11) ledger.faults.push(`ADD ${name}: ${JSON.stringify(added.document)}`)
  if (added.code === 0) {
    const [address = ''] = added.document.ips?.map(({ address }) => address) ?? []
    ledger.take(address, name)
    if (random.chance(0.5)) {
      const replayed = await machine.cni('ADD', pod, conf)
      if (replayed.code === 0 && replayed.document.ips?.[0]?.address !== address)
        ledger.faults.push(`a replay gave ${name} ${JSON.stringify(replayed.document.ips)} after ${address}`)
    }
    ledger.free(name)
  }
  while ((await machine.cni('DEL', pod, conf)).code !== 0) continue
  await done()
  await machine.removePodNamespace(name)
}

async function leftovers(machine: AgentMachine): Promise<string[]> {
  const [files, links, rules, metrics] = await Promise.all([
    machine.succeed('find', ['/run/fairlead', '-type', 'f', '-not', '-name', 'lock', '-not', '-name', 'resting.json']),
    machine.succeed('ip', ['-o', '-br', 'link']),
    machine.succeed('iptables-nft', ['-t', 'nat', '-S']),
    machine.metrics(),
  ])
  return [
    ...files.split('\n').filter(Boolean),
    ...links.split('\n').filter((line) => line !== '' && !/^(lo|uplink|elsewhere|cni0|fairlead\.1)[@ ]/.test(line)),
    ...rules
      .split('\n')
      .filter((line) => line.startsWith('-A') && line.includes('10.244.1.') && !line.includes('10.244.1.0/24')),
    ...metrics
      .split('\n')
      .filter((line) => /^fairlead_(ipam_addresses\{.*state="used"|attachments )/.test(line) && !line.endsWith(' 0')),
  ]
}

describeKernel('an agent that is killed', () => {
  test(
    `at a random point of ${2 * lives} ADDs and DELs, ${rounds} times, leaves nothing and gives no address twice`,
    async () => {
      const random = new Random()
      console.log(`seed ${random.seed}: TEST_SEED=${random.seed} runs it again`)
      await using machine = await AgentMachine.start()
      machine.startAgent()
      await machine.ready()
      for (let round = 0; round < rounds; round++) {
        const ledger = new Ledger()
        const fatal = random.below(2 * lives)
        let operations = 0
        let killed: Promise<void> | undefined
        const done = async (): Promise<void> => {
          if (operations++ !== fatal) return
          killed = machine.killAgent().then(() => machine.startAgent())
        }
        let next = 0
        await Promise.all(
          Array.from({ length: workers }, async () => {
            while (next < lives) await live(machine, `r${round}p${next++}`, random, ledger, done)
          }),
        )
        await killed
        expect([killed === undefined, ledger.faults]).toEqual([false, []])
        await machine.ready()
        await vi.waitFor(
          async () => expect(await leftovers(machine), `round ${round}, killed at operation ${fatal}`).toEqual([]),
          { timeout: 60_000, interval: 200 },
        )
      }
    },
    rounds * 180_000,
  )
})
