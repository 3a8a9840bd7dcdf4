import { expect, test } from 'vitest'
import { ServerChoice } from './server-choice.ts'

const first = { server: 'https://a:6443', source: 'the first' }
const second = { server: 'https://b:6443/', source: 'the second' }

/** Builds a choice among candidates that answer while they are in the set. */
function choiceOf(candidates: readonly { server: string; source: string }[], answering: ReadonlySet<string>) {
  const probed: string[] = []
  const chosen: string[] = []
  const choice = new ServerChoice(
    { candidates, problems: ['a file has no API server address'], onChosen: ({ source }) => chosen.push(source) },
    async (server) => {
      probed.push(server)
      await Promise.resolve()
      if (!answering.has(server)) throw new Error('refused')
    },
  )
  return { choice, probed, chosen }
}

test('chooses the first address that answers, announces it once, and keeps it', async () => {
  const { choice, probed, chosen } = choiceOf([first, second], new Set([second.server]))
  expect(choice.text).toBe('https://a:6443 or https://b:6443/')
  expect(await Promise.all([choice.server(), choice.server()])).toEqual(['https://b:6443', 'https://b:6443'])
  expect(await choice.server()).toBe('https://b:6443')
  expect([probed, chosen, choice.text]).toEqual([[first.server, second.server], ['the second'], 'https://b:6443'])
})

test('names every address when none answers, and tries them again on the next call', async () => {
  const answering = new Set<string>()
  const { choice, chosen } = choiceOf([first, second], answering)
  await expect(choice.server()).rejects.toThrow(
    "None of the API server's addresses answers: https://a:6443 from the first (refused); " +
      'https://b:6443/ from the second (refused); a file has no API server address; set apiServer to one that does',
  )
  expect(chosen).toEqual([])
  answering.add(first.server)
  expect(await choice.server()).toBe('https://a:6443')
})

test('uses a single candidate without a probe', async () => {
  const { choice, probed } = choiceOf([first], new Set())
  expect([await choice.server(), probed]).toEqual(['https://a:6443', []])
})
