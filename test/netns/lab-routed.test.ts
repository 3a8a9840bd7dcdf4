// A cluster on kernels without br_netfilter: pods hold their address alone, everything between them is routed, and the
// whole tour passes as it does elsewhere.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import type { AuditLine } from '../../src/lab/apiserver/audit-log.ts'
import { auditLogOf, labNamed } from '../../src/lab/layout.ts'
import { describeKernel } from './scratch.ts'
import { root, TestLab } from './test-lab.ts'

interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
}

describeKernel('a lab without br_netfilter', () => {
  const lab = new TestLab(`ft-routed-${process.pid}`)
  beforeAll(async () => await lab.succeed(['up', '--nodes', '2', '--without-br-netfilter']))
  afterAll(async () => await lab[Symbol.asyncDispose]())

  test('gives pods a /32, routes between those of one node, and passes the tour', async () => {
    const tour = JSON.parse(await lab.succeed(['tour', '-o', 'json'])) as {
      title: string
      ok: boolean
      exhibits?: { lines: string[] }[]
    }[]
    expect(tour.filter(({ ok }) => !ok)).toEqual([])
    const wires = tour
      .flatMap(({ exhibits = [] }) => exhibits.flatMap(({ lines }) => lines))
      .filter((line) => line.startsWith('eth0'))
    expect(wires.length).toBeGreaterThan(0)
    expect(wires.filter((line) => !/ 172\.30\.\d+\.\d+\/32( |$)/.test(line))).toEqual([])
    expect((await lab.run(['node', 'node1', '--', 'ls', '/proc/sys/net/bridge'])).stdout).toBe('')
  })

  test('its agents have used every right that deploy/ gives them', () => {
    const role = parseAllDocuments(readFileSync(join(root, 'deploy/base/rbac.yaml'), 'utf8'))
      .map((document) => document.toJS() as { kind: string; rules: Rule[] })
      .find(({ kind }) => kind === 'ClusterRole')
    const given = role!.rules.flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => [verb, resource, group].join(' '))),
      ),
    )
    const lines = readFileSync(auditLogOf(labNamed(lab.name)), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as AuditLine)
    const used = lines.filter(({ user }) => user === 'system:serviceaccount:kube-system:fairlead')
    // A watch brings the list with it where the server can do that, and this one can; before Kubernetes 1.34 the same
    // agent lists first.
    const needed = new Set(
      used.flatMap(({ verb, resource, group }) =>
        (verb === 'watch' ? ['list', 'watch'] : [verb]).map((each) => [each, resource, group].join(' ')),
      ),
    )
    // Events are written when something is wrong; ServiceCIDRs are read where refuseUnassigned is set.
    expect(given.filter((right) => !needed.has(right) && !/ (events|servicecidrs) /.test(right))).toEqual([])
    expect([...needed].filter((right) => !given.includes(right))).toEqual([])
  })
})
