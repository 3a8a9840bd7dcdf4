// A chain's rules as one number: with ten thousand Services their text is 12 MB, and all that a sync or an audit asks
// of most of it is whether it is still the same.
import type { Rules } from '../rendered.ts'

/** 53 bits: by chance, two that differ have the same once in 10^16. */
export function fingerprint(rules: Rules): number {
  const print = new Fingerprint()
  for (const rule of rules) print.add(rule)
  return print.value
}

/** The same, of rules that come one by one. */
export class Fingerprint {
  #low = 0x2545_f491
  #high = 0x4f6c_dd1d

  add(rule: string): void {
    let [low, high] = [this.#low, this.#high]
    for (let i = 0; i < rule.length; i++) {
      const code = rule.charCodeAt(i)
      low = Math.imul(low ^ code, 0x85eb_ca6b)
      high = Math.imul(high ^ code, 0xc2b2_ae35)
      low ^= low >>> 15
      high ^= high >>> 13
    }
    // Where a rule ends counts too.
    this.#low = Math.imul(low ^ 10, 0x27d4_eb2f)
    this.#high = Math.imul(high ^ 10, 0x1656_67b1)
  }

  get value(): number {
    const low = Math.imul(this.#low ^ (this.#high >>> 16), 0x9e37_79b1) >>> 0
    const high = Math.imul(this.#high ^ (this.#low >>> 15), 0x85eb_ca77) >>> 11
    return high * 2 ** 32 + low
  }
}
