// A token bucket for each of many keys, as the spam filter of client-go's event recorder has one for each object.

export interface TokenBucketsOptions {
  /** Tokens of a full bucket. */
  readonly burst: number
  /** ms until a bucket has one token more. */
  readonly refillMs: number
  /** Keys that are remembered; the one that was asked for longest ago is forgotten first, and begins full again. */
  readonly keys: number
}

interface Bucket {
  tokens: number
  /** ms: when the tokens were counted. */
  at: number
}

export class TokenBuckets {
  readonly #options: TokenBucketsOptions
  /** In the order in which they were asked for last. */
  readonly #buckets = new Map<string, Bucket>()

  constructor(options: TokenBucketsOptions) {
    this.#options = options
  }

  /**
   * Takes one token.
   * @param now ms of a clock that does not go back
   * @returns whether there was one.
   */
  take(key: string, now: number): boolean {
    const { burst, refillMs, keys } = this.#options
    const known = this.#buckets.get(key) ?? { tokens: burst, at: now }
    const tokens = Math.min(burst, known.tokens + (now - known.at) / refillMs)
    const taken = tokens >= 1
    this.#buckets.delete(key)
    this.#buckets.set(key, { tokens: taken ? tokens - 1 : tokens, at: now })
    const [oldest] = this.#buckets.keys()
    if (this.#buckets.size > keys && oldest !== undefined) this.#buckets.delete(oldest)
    return taken
  }
}
