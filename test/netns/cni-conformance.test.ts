// The contract with runtimes, through the real CNI binary and a real agent, in each version of the specification;
// cni-spec.ts holds what it says.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type * as z from 'zod'
import { AgentMachine, cniBinary, type Ran } from './agent-machine.ts'
import { errorSchema, resultSchemas, type SpecVersion, specVersions, versionSchema } from './cni-spec.ts'
import { describeKernel } from './scratch.ts'

/** What is wrong with the one document on stdout, in words; empty when it is as the specification says. */
function faults(schema: z.ZodType, { stdout }: Ran): string[] {
  const parsed = schema.safeParse(JSON.parse(stdout))
  return parsed.success ? [] : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
}

/**
 * "silence" for a success that says nothing; an error's code where it came with exit code 1, nothing on stderr and one
 * document as the specification says; else all of it.
 */
function verdict(answer: Ran): string | number {
  const { exitCode, stdout, stderr } = answer
  if (exitCode === 0) return stdout + stderr === '' ? 'silence' : `success, but ${stdout}${stderr}`
  const wrong =
    exitCode !== 1 || stderr !== '' ? [`exit code ${exitCode}, stderr ${stderr}`] : faults(errorSchema, answer)
  return wrong.length === 0 ? (JSON.parse(stdout) as { code: number }).code : `${wrong.join('; ')} in ${stdout}`
}

describeKernel('CNI conformance', () => {
  let machine: AgentMachine
  beforeAll(async () => {
    machine = await AgentMachine.start()
    machine.startAgent()
    await machine.ready()
  })
  afterAll(() => machine[Symbol.asyncDispose]())

  /**
   * As libcni calls a plugin: its own variables, the conf with cniVersion and name put in, and what the command brings
   * along.
   */
  function call(
    command: string,
    version: SpecVersion,
    name: string | undefined,
    more: object = {},
    variables: Record<string, string> = {},
  ): Promise<Ran> {
    const attachment =
      name === undefined
        ? {}
        : {
            CNI_CONTAINERID: name,
            CNI_NETNS: `/run/netns/${name}`,
            CNI_IFNAME: 'eth0',
            CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}`,
          }
    const input = JSON.stringify({
      capabilities: { portMappings: true },
      cniVersion: version,
      name: 'fairlead',
      type: 'fairlead-cni',
      ...more,
    })
    return machine.run(cniBinary, [], {
      env: { CNI_COMMAND: command, CNI_PATH: '/opt/cni/bin', ...attachment, ...variables },
      input,
    })
  }

  for (const version of specVersions) {
    const name = `pod-${version.replaceAll('.', '-')}`

    test(`${version}: ADD, CHECK, DEL, DEL, as libcni drives a plugin`, async () => {
      await machine.addPodNamespace(name)
      const added = await call('ADD', version, name)
      expect([added.exitCode, added.stderr, faults(resultSchemas[version], added)]).toEqual([0, '', []])
      const prevResult = JSON.parse(added.stdout) as { ips: { address: string }[] }
      const held = await machine.succeed('ip', ['-n', name, '-4', '-o', 'addr', 'show', 'dev', 'eth0'])
      expect(held).toContain(`inet ${prevResult.ips[0]?.address} `)

      const check = async (): Promise<string | number> => verdict(await call('CHECK', version, name, { prevResult }))
      // As it was made; with something taken away; when it is gone. Before 0.4.0 there is no CHECK.
      const checks = [await check()]
      await machine.succeed('ip', ['-n', name, 'route', 'del', 'default'])
      checks.push(await check())
      expect([
        verdict(await call('DEL', version, name, { prevResult })),
        verdict(await call('DEL', version, name)),
      ]).toEqual(['silence', 'silence'])
      checks.push(await check())
      expect(checks).toEqual(version === '0.3.1' ? [1, 1, 1] : ['silence', 100, 3])
      await vi.waitFor(
        async () => expect(await machine.succeed('ip', ['-n', name, '-br', 'link'])).not.toContain('eth0'),
        60_000,
      )
    })

    test(`${version}: DEL of what never was, and of a pod whose namespace is gone or not named, succeeds in silence`, async () => {
      expect(verdict(await call('DEL', version, 'never'))).toBe('silence')
      expect(verdict(await call('DEL', version, 'never', {}, { CNI_NETNS: '' }))).toBe('silence')
      await machine.addPodNamespace(`${name}-gone`)
      expect((await call('ADD', version, `${name}-gone`)).exitCode).toBe(0)
      await machine.removePodNamespace(`${name}-gone`)
      expect(verdict(await call('DEL', version, `${name}-gone`, {}, { CNI_NETNS: '' }))).toBe('silence')
    })

    test(`${version}: GC takes away what is not listed and keeps what is, STATUS is silent when ready; before 1.1.0 there is neither`, async () => {
      const [kept, lost] = [`${name}-kept`, `${name}-lost`]
      for (const each of [kept, lost]) {
        await machine.addPodNamespace(each)
        expect((await call('ADD', version, each)).exitCode).toBe(0)
      }
      const valid = [{ containerID: kept, ifname: 'eth0' }]
      const collected = await call('GC', version, undefined, {
        'cni.dev/valid-attachments': valid,
        'cni.dev/attachments': valid,
      })
      const status = await call('STATUS', version, undefined)
      const containers = async (): Promise<string[]> =>
        (await machine.succeed('sh', ['-c', 'cat /run/fairlead/attachments/*.json'])).match(/"containerId":"[^"]*"/g) ??
        []
      const left = [verdict(collected), verdict(status), (await containers()).toSorted()]
      const all = [kept, lost].map((each) => `"containerId":"${each}"`)
      expect(left).toEqual(version === '1.1.0' ? ['silence', 'silence', all.slice(0, 1)] : [1, 1, all])
      for (const each of [kept, lost]) expect(verdict(await call('DEL', version, each))).toBe('silence')
    })

    test(`${version}: an error is in the version that was asked`, async () => {
      const refused = await call('ADD', version, `${name}-none`)
      expect(verdict(refused)).toBe(8)
      expect(JSON.parse(refused.stdout)).toMatchObject({ cniVersion: version })
    })
  }

  test('VERSION names all of them, whatever libcni puts into the other variables', async () => {
    const answer = await machine.run(cniBinary, [], {
      env: {
        CNI_COMMAND: 'VERSION',
        CNI_CONTAINERID: 'dummy',
        CNI_NETNS: 'dummy',
        CNI_IFNAME: 'dummy',
        CNI_PATH: 'dummy',
      },
      input: '{"cniVersion":"1.1.0"}',
    })
    expect([answer.exitCode, answer.stderr, faults(versionSchema, answer)]).toEqual([0, '', []])
    expect(JSON.parse(answer.stdout)).toMatchObject({
      supportedVersions: expect.arrayContaining([...specVersions]) as string[],
    })
  })

  test('a second ADD of the same attachment gives the same result, and ADD beside a foreign interface of that name is refused', async () => {
    await machine.addPodNamespace('twice')
    const first = await call('ADD', '1.1.0', 'twice')
    expect(await call('ADD', '1.1.0', 'twice')).toEqual(first)
    expect(verdict(await call('DEL', '1.1.0', 'twice'))).toBe('silence')
    await machine.addPodNamespace('foreign')
    await machine.succeed('ip', ['-n', 'foreign', 'link', 'add', 'eth0', 'type', 'bridge'])
    expect(verdict(await call('ADD', '1.1.0', 'foreign'))).toBe(4)
  })

  test('ADDs at the same time into one namespace are as ADDs one after the other: of one container the same result, of several the last one has it', async () => {
    const addressOf = ({ stdout }: Ran): string | undefined =>
      (JSON.parse(stdout) as { ips?: { address: string }[] }).ips?.[0]?.address
    await machine.addPodNamespace('crowd')
    const [first, ...same] = await Promise.all(Array.from({ length: 4 }, () => call('ADD', '1.1.0', 'crowd')))
    expect(same).toEqual([first, first, first])
    const others = ['c1', 'c2', 'c3', 'c4']
    // The runtime's ways to the one namespace may differ.
    const answers = await Promise.all(
      others.map((id, i) =>
        call(
          'ADD',
          '1.1.0',
          'crowd',
          {},
          { CNI_CONTAINERID: id, ...(i % 2 === 1 && { CNI_NETNS: '/run/../run/netns/crowd' }) },
        ),
      ),
    )
    const held = /inet (\S+)/.exec(
      await machine.succeed('ip', ['-n', 'crowd', '-4', '-o', 'addr', 'show', 'dev', 'eth0']),
    )?.[1]
    expect(answers.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0])
    expect(answers.map(addressOf).filter((address) => address === held)).toHaveLength(1)
    expect(await machine.metrics()).toMatch(/^fairlead_attachments 1$/m)
    expect(
      await Promise.all(
        ['crowd', ...others].map(async (id) =>
          verdict(await call('DEL', '1.1.0', 'crowd', {}, { CNI_CONTAINERID: id })),
        ),
      ),
    ).toEqual(Array.from({ length: 5 }, () => 'silence'))
    expect(await machine.metrics()).toMatch(/^fairlead_attachments 0$/m)
  })
})
