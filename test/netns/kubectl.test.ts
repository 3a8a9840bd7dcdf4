// Real kubectls against a lab: replay the session of docs/lab.md with each, and compare the output with the page.
//
// Debian's kubectl is 1.20, much older than what people have on their PATH, and cannot be installed beside it. The test
// finds it unpacked:
//   apt-get download kubernetes-client && dpkg-deb -x kubernetes-client_*.deb /var/cache/fairlead/kubernetes-client
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa, execaSync } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeKernel } from './scratch.ts'
import { root } from './test-lab.ts'

const session = readFileSync(join(root, 'test/golden/kubectl-session.txt'), 'utf8')
const name = `ft-kubectl-${process.pid}`
const debian = '/var/cache/fairlead/kubernetes-client/usr/bin/kubectl'
const onPath = execaSync('sh', ['-c', 'command -v kubectl'], { reject: false }).stdout
const kubectls = [
  { title: "Debian's kubectl 1.20", file: debian },
  { title: 'the kubectl on the PATH', file: onPath || 'kubectl' },
]

/** What differs from run to run, and from one kubectl to the next. */
function normalised(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => !line.startsWith('Waiting for deployment'))
    .map((line) =>
      line
        .replaceAll(/\bweb-[a-z0-9]{10}-[a-z0-9]{5}\b/g, 'web-POD')
        .replaceAll(/\b172\.30\.\d+\.\d+\b/g, 'IP')
        .replaceAll(/\bnode[12]\b/g, 'NODE')
        .replaceAll(/ \d+s\b/g, ' AGE')
        .replace(/ from \S+ namespace$/, '')
        .replaceAll(/ {2,}/g, '  ')
        .trimEnd(),
    )
    .filter((line) => line !== '')
}

/** Commands and what each printed. */
function steps(text: string): { command: string; printed: string }[] {
  return text
    .split(/^# /m)
    .slice(1)
    .map((step) => {
      const [command = '', ...printed] = step.split('\n')
      return { command, printed: printed.join('\n') }
    })
}

async function run(command: string, kubectl: string): Promise<string> {
  const inLab = command.replace('bin/fairlead lab kubectl', `bin/fairlead lab kubectl --name ${name}`)
  const { all } = await execa('sh', ['-c', inLab], {
    cwd: root,
    all: true,
    reject: false,
    env: { PATH: `${dirname(kubectl)}${delimiter}${process.env['PATH']}` },
  })
  return all
}

test('replays the session that docs/lab.md shows', () => {
  expect(readFileSync(join(root, 'docs/lab.md'), 'utf8')).toContain(`\`\`\`\n${session}\`\`\`\n`)
  expect(steps(session).length).toBeGreaterThan(5)
})

describeKernel('kubectl', () => {
  beforeAll(async () => {
    await execa(join(root, 'bin/fairlead'), ['lab', 'up', '--name', name, '--nodes', '2'])
  })
  afterAll(async () => {
    await execa(join(root, 'bin/fairlead'), ['lab', 'down', '--name', name], { reject: false })
  })

  for (const { title, file } of kubectls) {
    const missing = !existsSync(file)
    // oxlint-disable-next-line vitest/valid-title -- the title says why it is skipped
    describe.skipIf(missing)(missing ? `${title} (skipped: there is no ${file})` : title, () => {
      test('prints in the session what docs/lab.md shows', async () => {
        for (const { command, printed } of steps(session))
          expect([command, ...normalised(await run(command, file))]).toEqual([command, ...normalised(printed)])
      })

      const kubectl = async (args: string): Promise<string> => await run(`bin/fairlead lab kubectl ${args}`, file)

      test('a field that is taken out of a manifest is taken out of the object', async () => {
        const manifest = (data: object): string =>
          JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'pruned' }, data })
        await kubectl(`apply -f - <<'E'\n${manifest({ a: '1', b: '2' })}\nE`)
        expect(await kubectl(`apply -f - <<'E'\n${manifest({ a: '1' })}\nE`)).toBe('configmap/pruned configured')
        expect(JSON.parse(await kubectl('get configmap pruned -o json'))).toMatchObject({ data: { a: '1' } })
        expect(await kubectl('get configmap pruned -o jsonpath={.data.b}')).toBe('')
        expect(await kubectl('label configmap pruned tier=back')).toBe('configmap/pruned labeled')
        expect(await kubectl('get configmap -l tier=back -o name')).toBe('configmap/pruned')
        expect(await kubectl('delete configmap pruned')).toMatch(/^configmap "pruned" deleted/)
      })

      test("a pod's story stands in its events, and its output in its log", async () => {
        const pod = JSON.stringify({
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: 'story' },
          spec: {
            terminationGracePeriodSeconds: 1,
            containers: [{ name: 'c', image: 'x', command: ['sh', '-c', 'echo once upon a time; sleep 1000'] }],
          },
        })
        await kubectl(`apply -f - <<'E'\n${pod}\nE`)
        expect(await kubectl('wait --for=condition=Ready pod/story --timeout=30s')).toBe('pod/story condition met')
        expect(await kubectl('logs story')).toBe('once upon a time')
        expect(await kubectl('exec story -- true')).toContain("use 'fairlead lab exec story -- COMMAND'")
        await kubectl('delete pod story')
        const events = await kubectl(
          'get events --field-selector involvedObject.name=story -o jsonpath={.items[*].reason}',
        )
        expect(events.split(' ')).toEqual(expect.arrayContaining(['Scheduled', 'Started', 'Killing']))
      })

      test('what an agent refuses a Service stands in the events of the Service, once for all nodes', async () => {
        const claim = (name: string) =>
          JSON.stringify({
            apiVersion: 'v1',
            kind: 'Service',
            metadata: { name },
            spec: { externalIPs: ['192.168.0.77'], ports: [{ port: 80 }] },
          })
        for (const name of ['first', 'second']) {
          await kubectl(`apply -f - <<'E'\n${claim(name)}\nE`)
          // The older one has it: creation times count whole seconds.
          await sleep(1100)
        }
        const note =
          'Service default/second does not get external IP 192.168.0.77 with port 80/tcp: default/first has it already; give one of them another'
        const events = async () => await kubectl('get events -A --field-selector reason=ExternalIPTaken')
        await expect.poll(events, { timeout: 60_000 }).toMatch(`service/second`)
        const lines = (await events()).split('\n').filter((line) => line.includes('second'))
        expect(lines).toEqual([expect.stringMatching(/Warning +ExternalIPTaken +service\/second/)])
        expect(lines[0]).toContain(note)
        expect(await kubectl('describe service second')).toMatch(
          /Warning +ExternalIPTaken .*default\/second does not get/,
        )
        expect(await kubectl('describe service first')).not.toContain('ExternalIPTaken')
        await kubectl('delete service first second')
        await kubectl('delete events --all')
      })

      test('a watch prints a line for each change', async () => {
        await kubectl('apply -f - <<E\n{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"watched"}}\nE')
        const ended = new AbortController()
        const watching = run(
          'bin/fairlead lab kubectl get configmap watched --watch --no-headers | head -3',
          file,
        ).finally(() => ended.abort())
        // Each change is a line; after the third, the pipe is closed to the next.
        for (let i = 0; !ended.signal.aborted; i++) await kubectl(`label configmap watched change=${i} --overwrite`)
        expect(normalised(await watching)).toEqual(Array.from({ length: 3 }, () => 'watched  0  AGE'))
        await kubectl('delete configmap watched')
      })
    })
  }
})
