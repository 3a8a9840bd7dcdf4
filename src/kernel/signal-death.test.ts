import { expect, test } from 'vitest'
import { runProgram, streamProgram } from './run.ts'
import { runInShell } from './shell-command.ts'
import { ShellWorkers } from './shell-workers.ts'
import { deathOf, signalOf } from './signal-death.ts'

test.each([
  [139, 'SIGSEGV'],
  [134, 'SIGABRT'],
  [137, 'SIGKILL'],
  [0, undefined],
  [1, undefined],
  [127, undefined],
  [128, undefined],
  [255, undefined],
])('exit status %i stands for %s', (status, signal) => {
  expect(signalOf(status)).toBe(signal)
})

test.each([
  ['', 'died of SIGSEGV'],
  ['Segmentation fault\n', 'died of SIGSEGV'],
  ['Segmentation fault (core dumped)\n', 'died of SIGSEGV'],
  ['nft: rule.c:1962: Assertion failed.\nAborted\n', 'died of SIGSEGV: nft: rule.c:1962: Assertion failed.'],
])('%j is what the program said before it died', (said, sentence) => {
  expect(deathOf('SIGSEGV', said)).toBe(sentence)
})

test('each way of running a program names the signal that ended it, in the same words', async () => {
  await using workers = new ShellWorkers(1)
  const crash = ['sh', '-c', 'echo "oh dear" >&2; kill -SEGV $$']
  const death = { kind: 'killed', stderr: 'died of SIGSEGV: oh dear' }
  const [program = '', ...args] = crash
  await expect(runInShell(workers, crash, { enter: [] })).rejects.toMatchObject(death)
  await expect(runProgram(program, args)).rejects.toMatchObject(death)
  await expect(streamProgram(crash, () => undefined)).rejects.toMatchObject(death)
  // The worker is none the worse for it.
  expect(await runInShell(workers, ['echo', 'well'], { enter: [] })).toMatchObject({ stdout: 'well\n' })
})
