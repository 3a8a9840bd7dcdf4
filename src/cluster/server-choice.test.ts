import { expect, test } from 'vitest'
import { ServerChoice } from './server-choice.ts'

const first = { server: 'https://a:6443', source: 'the first' }
const second = { server: 'https://b:6443/', source: 'the second' }

/** Addresses answer while they are in the set. */
function choiceOf(candidates: readonly { server: string; source: string }[], answering: ReadonlySet<string>) {
  const asked: string[] = []
  const told: string[] = []
  const choice = new ServerChoice(
    { candidates, problems: ['a file names none'], onChosen: ({ source }) => told.push(source) },
    async (server) => {
      asked.push(server)
      await Promise.resolve()
      if (!answering.has(server)) throw new Error('refused')
    },
  )
  return { choice, asked, told }
}

test('the first that answers is taken, told of once, and kept', async () => {
  const { choice, asked, told } = choiceOf([first, second], new Set([second.server]))
  expect(choice.text).toBe('https://a:6443 or https://b:6443/')
  expect(await Promise.all([choice.take(), choice.take()])).toEqual(['https://b:6443', 'https://b:6443'])
  expect(await choice.take()).toBe('https://b:6443')
  expect([asked, told, choice.text]).toEqual([[first.server, second.server], ['the second'], 'https://b:6443'])
})

test('where none answers the sentence tells of each, and the next call tries them again', async () => {
  const answering = new Set<string>()
  const { choice, told } = choiceOf([first, second], answering)
  await expect(choice.take()).rejects.toThrow(
    'The API server answers at none of its addresses: https://a:6443 from the first (refused); https://b:6443/ from the second (refused); a file names none; name one that does with apiServer',
  )
  expect(told).toEqual([])
  answering.add(first.server)
  expect(await choice.take()).toBe('https://a:6443')
})

test('the only one is taken without asking', async () => {
  const { choice, asked } = choiceOf([first], new Set())
  expect([await choice.take(), asked]).toEqual(['https://a:6443', []])
})
