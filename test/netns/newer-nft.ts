// Tables as an nft newer than this machine's writes them, which make this machine's nft crash. TEST_NEWER_NFT=DIR adds
// those of a real one, in the root file system of another Debian: debootstrap --variant=minbase --include=nftables sid DIR
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

/** The root file system of a newer nft, where there is one. */
export const newerRoot = process.env['TEST_NEWER_NFT']

/** A table `real` with sets, maps and a base chain, in each family. */
export const realTables: Readonly<Record<(typeof nftFamilies)[number], string>> = {
  ip: realTable('ip', 'ip saddr', '10.0.0.0/8', 'filter hook forward'),
  ip6: realTable('ip6', 'ip6 saddr', 'fd00::/8', 'filter hook forward'),
  inet: realTable('inet', 'ip saddr', '10.0.0.0/8', 'filter hook forward'),
  bridge: realTable('bridge', 'ip saddr', '10.0.0.0/8', 'filter hook forward'),
  netdev: realTable('netdev', 'ip saddr', '10.0.0.0/8', 'filter hook ingress device lo'),
  arp: realTable('arp', 'arp saddr ip', '10.0.0.0/8', 'filter hook input'),
}

function realTable(family: string, address: string, block: string, hook: string): string {
  return `table ${family} real {
  set recent { typeof ${address} . meta mark; flags dynamic,timeout; timeout 1h; }
  set plain { type ${address.startsWith('ip6') ? 'ipv6_addr' : 'ipv4_addr'}; flags interval; auto-merge; elements = { ${block} } }
  map marks { typeof ${address} : meta mark; flags interval; elements = { ${block} : 0x1 } }
  map verdicts { typeof meta mark : verdict; }
  chain c { type ${hook} priority 0; ${address} @plain accept; meta mark vmap @verdicts; }
}
`
}
