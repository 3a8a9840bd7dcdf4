// Tables as an nft newer than this machine's writes them, which make this machine's nft crash.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Those that tables can be in. */
export const nftFamilies = ['ip', 'ip6', 'inet', 'bridge', 'netdev', 'arp'] as const

/** The compiled newer-nft.c, gone when disposed of. */
export class NewerNft implements Disposable {
  readonly #dir = mkdtempSync(join(tmpdir(), 'newer-nft-'))
  /** Its arguments are families, or families to delete the table of: "-inet". */
  readonly program = join(this.#dir, 'newer-nft')

  constructor() {
    const source = join(import.meta.dirname, 'newer-nft.c')
    execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', this.program, source])
  }

  [Symbol.dispose](): void {
    rmSync(this.#dir, { recursive: true, force: true })
  }
}
