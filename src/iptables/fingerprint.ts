// The rules of a chain as one number: with 10,000 Services their text is 12 MB, and a reconcile only asks of most of it
// whether it is still the same.

/** 53 bits: two chains that differ have the same once in 10^16. @param rules as text */
export function fingerprint(rules: readonly string[]): number {
  const print = new Fingerprint()
  for (const rule of rules) print.add(rule)
  return print.value
}

/** Computes {@link fingerprint} of rules that come one by one. */
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
    // The end of a rule counts too.
    this.#low = Math.imul(low ^ 10, 0x27d4_eb2f)
    this.#high = Math.imul(high ^ 10, 0x1656_67b1)
  }

  get value(): number {
    const low = Math.imul(this.#low ^ (this.#high >>> 16), 0x9e37_79b1) >>> 0
    const high = Math.imul(this.#high ^ (this.#low >>> 15), 0x85eb_ca77) >>> 11
    return high * 2 ** 32 + low
  }
}
