// Programs of a machine that are not there any more, or that crash: for all that runs on it, until they are mended.
import type { AgentMachine } from './agent-machine.ts'

export class BrokenPrograms {
  readonly #machine: AgentMachine
  #times = 0
  #broken = false

  constructor(machine: AgentMachine) {
    this.#machine = machine
  }

  /** Takes these programs away. */
  async hide(...names: readonly string[]): Promise<void> {
    await this.#replace(names, 'mknod $up/upper/$name c 0 0')
  }

  /** Lets these programs end by SIGSEGV whenever they are started. */
  async crash(...names: readonly string[]): Promise<void> {
    await this.#replace(
      names,
      '{ printf "#!/bin/sh\\nkill -SEGV \\$\\$\\n" >$up/upper/$name; chmod +x $up/upper/$name; }',
    )
  }

  /** Puts back what was broken. */
  async mend(): Promise<void> {
    if (!this.#broken) return
    this.#broken = false
    await this.#machine.succeed('umount', ['-l', '/usr/bin', '/usr/sbin'])
  }

  /** @param how a shell command that makes the file $name of the upper layer $up/upper */
  async #replace(names: readonly string[], how: string): Promise<void> {
    this.#times += 1
    this.#broken = true
    await this.#machine.succeed('sh', [
      '-ec',
      `
for dir in /usr/bin /usr/sbin; do
  up=/run/hidden/${this.#times}$dir; mkdir -p $up/upper $up/work
  for name in ${names.join(' ')}; do [ ! -e $dir/$name ] || ${how}; done
  mount -t overlay overlay -o lowerdir=$dir,upperdir=$up/upper,workdir=$up/work $dir
done`,
    ])
  }
}
