// `lab up`: creates what is missing, removes nodes that are too many, and leaves alone what runs.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { flagName } from '../agent/config.ts'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { ApiError } from '../cluster/api-error.ts'
import { waitForApi } from './admin.ts'
import { isControlPlaneRunning, startControlPlane } from './control-plane.ts'
import { takeDown } from './down.ts'
import { type Lab, nodeIndex, type NodeName, nodeNumbered, outsidePort } from './layout.ts'
import { createMember, createSwitch, membersOf } from './namespaces.ts'
import { isNodeRunning, nodesOf, removeNode, startNode } from './nodes.ts'
import { dist, processesIn, startIn } from './processes.ts'
import { findAssets } from './real-control-plane/assets.ts'
import { defaultSettings, type LabSettings, readSettings, writeSettings } from './settings.ts'
import { listNodes, type NodeView } from './views.ts'

/** Receives one line of progress. */
export type Report = (line: string) => void

const nodesReadyTimeoutMs = 60_000

/**
 * Starts the switch, the control plane and the outside client. A lab whose control plane has ended is created again,
 * because its state was in memory.
 * @param requested the given settings. The others are those of the running lab, or the defaults for a new one.
 * @throws {ConfigError} when the programs of a real control plane are missing.
 */
export async function startBase(lab: Lab, requested: Partial<LabSettings>, report: Report): Promise<void> {
  const running = isControlPlaneRunning(lab) && processesIn(lab, ['outside']).length > 0 ? readSettings(lab) : undefined
  if (running !== undefined) {
    const other = (['overlay', 'controlPlane'] as const).find(
      (key) => (requested[key] ?? running[key]) !== running[key],
    )
    if (other === undefined) return
    throw new Error(
      `lab ${lab.name} runs with ${flagName(other)} ${running[other]}: take it down first (fairlead lab down)`,
    )
  }
  const settings = { ...defaultSettings, ...requested }
  if (settings.controlPlane === 'envtest') findAssets(process.env)
  if (membersOf(lab).length > 0) {
    report('removing what an earlier lab of that name left')
    await takeDown(lab)
  }
  const controlPlane = settings.controlPlane === 'envtest' ? 'etcd, kube-apiserver' : 'the control plane'
  report(`starting the switch, ${controlPlane} and an outside client`)
  mkdirSync(lab.logs, { recursive: true })
  await createSwitch(lab)
  await Promise.all([createMember(lab, 'control'), createMember(lab, 'outside')])
  writeSettings(lab, settings)
  await Promise.all([startOutside(lab), startControlPlane(lab)])
}

/**
 * Adds or removes nodes up to the given number, and waits until each is ready. Must be called in the control plane's
 * namespace.
 */
export async function scaleNodes(lab: Lab, count: number, report: Report): Promise<void> {
  const settings = readSettings(lab)
  if (settings === undefined) throw new Error(`lab ${lab.name} has no settings: take it down and up again`)
  const api = await waitForApi(lab)
  const wanted = Array.from({ length: count }, (_, i) => nodeNumbered(i + 1))
  await Promise.all(
    nodesOf(lab)
      .filter((node) => nodeIndex(node) > count)
      .map(async (node) => await retireNode(lab, node, api, report)),
  )
  await Promise.all(
    wanted
      .filter((node) => !isNodeRunning(lab, node))
      .map(async (node) => await bringUpNode(lab, node, settings, report)),
  )
  await waitForNodes(lab, wanted, api, report)
}

/** Removes a node: first its object, as an administrator would, then everything that runs on it. */
export async function retireNode(lab: Lab, node: NodeName, api: ApiConnection, report: Report): Promise<void> {
  report(`removing ${node}`)
  try {
    await api.request('DELETE', `/api/v1/nodes/${node}`)
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error
  }
  await removeNode(lab, node)
}

async function bringUpNode(lab: Lab, node: NodeName, settings: LabSettings, report: Report): Promise<void> {
  report(`starting ${node}`)
  await removeNode(lab, node)
  await startNode(lab, node, settings)
}

async function waitForNodes(lab: Lab, wanted: readonly NodeName[], api: ApiConnection, report: Report): Promise<void> {
  const waiting = new Set<string>(wanted)
  const deadline = Date.now() + nodesReadyTimeoutMs
  let nodes: readonly NodeView[] = []
  while (waiting.size > 0) {
    nodes = await listNodes(api)
    for (const node of nodes.filter(({ name, ready }) => ready && waiting.has(name))) {
      waiting.delete(node.name)
      report(`${node.name} is ready: ${node.address}, pods ${node.podCidr}`)
    }
    const dead = wanted.find((node) => waiting.has(node) && !isNodeRunning(lab, node))
    if (dead !== undefined)
      throw new Error(`${dead} ended while it came up: see ${join(lab.logs, `kubelet-${dead}.log`)}`)
    if (Date.now() > deadline) {
      const reasons = [...waiting].map(
        (name) => `${name} (${nodes.find((node) => node.name === name)?.message ?? 'not registered'})`,
      )
      throw new Error(`not ready after ${nodesReadyTimeoutMs / 1000} s: ${reasons.join(', ')}; see ${lab.logs}`)
    }
    if (waiting.size > 0) await sleep(100)
  }
}

/** Starts a server outside the cluster. Pods reach it masqueraded, and it acts as an external database. */
async function startOutside(lab: Lab): Promise<void> {
  const command = [process.execPath, join(dist, 'echo.mjs'), `${outsidePort}/TCP`, `${outsidePort}/UDP`]
  await startIn(lab, 'outside', command, {
    log: join(lab.logs, 'outside.log'),
    env: { POD_NAME: 'outside', POD_NAMESPACE: '', NODE_NAME: '' },
  })
}
