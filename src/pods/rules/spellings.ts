// How this iptables prints rules that it prints otherwise than we write them.
//
// We write rules as iptables 1.8 prints them, so as a rule nothing is kept here. Another version may spell one
// differently; compared as text it would be repaired for ever. So what was read back right after a rule was written is
// taken for that rule.

export class Spellings {
  readonly #printed = new Map<string, string>()

  /** Whether the printed rule is the written one. */
  same(written: string, printed: string): boolean {
    return written === printed || this.#printed.get(written) === printed
  }

  learn(written: string, printed: string): void {
    this.#printed.set(written, printed)
  }
}
