// Tables that a newer nft wrote, in any family: this machine's nft crashes when it reads them, and nothing of ours does.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readNftTables } from '../../src/kernel/nft-tables.ts'
import { NewerNft, nftFamilies } from './newer-nft.ts'
import { describeKernel, type ScratchNamespace, scratchNamespace } from './scratch.ts'

/** Every kind of line that the agent writes, the second text on what the first one made. */
const texts = [
  `add table inet fairlead
delete table inet fairlead
add table inet fairlead
add set inet fairlead pods { typeof ip saddr; elements = { 10.0.0.1, 10.0.0.2 } }
add set inet fairlead blocks { typeof ip saddr; flags interval; elements = { 10.1.0.0-10.1.0.255 } }
add map inet fairlead egress { typeof ip saddr : verdict; }
add chain inet fairlead forward { type filter hook forward priority 10; policy accept; }
add chain inet fairlead one
add rule inet fairlead one ip daddr @pods return
add rule inet fairlead one ip daddr @blocks tcp dport { 80, 90-100 } return
add rule inet fairlead forward ip saddr vmap @egress
add element inet fairlead egress { 10.0.0.1 : jump one }
add table bridge fairlead
add set bridge fairlead senders { typeof iifname; elements = { "a" } }
add chain bridge fairlead prerouting { type filter hook prerouting priority -300; policy accept; }
add rule bridge fairlead prerouting iifname @senders drop
`,
  `add chain inet fairlead two
add rule inet fairlead two ip daddr @pods return
delete element inet fairlead egress { 10.0.0.1 }
add element inet fairlead egress { 10.0.0.2 : jump two }
delete element inet fairlead blocks { 10.1.0.0-10.1.0.255 }
add element inet fairlead blocks { 10.2.0.0-10.2.0.255 }
add element bridge fairlead senders { "b" }
flush chain inet fairlead one
delete chain inet fairlead one
`,
]
const ours = ['inet fairlead', 'bridge fairlead']

describeKernel('tables that a newer nft wrote', () => {
  let newer: NewerNft
  beforeAll(() => {
    newer = new NewerNft()
  })
  afterAll(() => newer[Symbol.dispose]())

  /** What our tables are after both texts. */
  async function written({ kernel }: ScratchNamespace): Promise<unknown> {
    for (const text of texts) await kernel.applyNft(text)
    return await Promise.all([
      ...ours.map(async (table) => kernel.listNft(`table ${table}`)),
      kernel.listNft('set inet fairlead blocks'),
      kernel.listNft('map inet fairlead egress'),
    ])
  }

  test('are in the way of no transaction and no list of ours, in whatever family', async () => {
    await using alone = await scratchNamespace()
    // Tables are numbered.
    await alone.run('nft', ['add', 'table', 'ip', 'other'])
    const expected = await written(alone)
    for (const family of nftFamilies) {
      await using node = await scratchNamespace()
      await node.run(newer.program, [family])
      // The control: a text that asks for them, or is free to read them, is the end of nft.
      await expect(node.run('nft', ['list', 'ruleset'])).rejects.toMatchObject({ kind: 'killed' })
      expect([family, await written(node)]).toEqual([family, expected])
      await node.kernel.applyNft(ours.map((table) => `delete table ${table}\n`).join(''))
      expect(await readNftTables(node.kernel)).toEqual([{ family, name: 'other', madeBy: [9, 9, 9, 0] }])
    }
  })
})
