import { expect, test } from 'vitest'
import type { ServerCandidate } from './server-candidates.ts'
import { ServerChoice } from './server-choice.ts'

const first: ServerCandidate = { server: 'https://a:6443', source: 'the first', kind: 'named' }
const second: ServerCandidate = { server: 'https://b:6443/', source: 'the second', kind: 'guess' }

/** Builds a choice among candidates that answer while they are in the set. */
function choiceOf(candidates: readonly ServerCandidate[], answering: ReadonlySet<string>) {
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

test('requests go to what is named, to a guess once it has answered, and never to the Service', async () => {
  const service: ServerCandidate = { server: 'https://10.96.0.1:443', source: 'the Service', kind: 'service' }
  const { choice } = choiceOf([first, second, service], new Set([second.server]))
  expect(choice.places).toEqual([first.server])
  await choice.server()
  expect(choice.places).toEqual([first.server, second.server])
  const last = choiceOf([second, service], new Set([service.server])).choice
  await last.server()
  expect(last.places).toEqual([])
})

test('requests go to the proxy, where one leads to the server', () => {
  const proxy = 'http://proxy:3128'
  expect(new ServerChoice({ candidates: [first], problems: [], proxy }, async () => undefined).places).toEqual([proxy])
})
