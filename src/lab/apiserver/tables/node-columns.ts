// The columns of Nodes.
import { type KubeObject, listOfFields, textAt } from '../kube-object.ts'
import { type Column, column, wide } from './column.ts'

const roleLabel = 'node-role.kubernetes.io/'

export function nodeColumns(name: Column, age: Column): readonly Column[] {
  return [
    name,
    column('Status', statusOf),
    column('Roles', rolesOf),
    age,
    column('Version', (node) => textAt(node, 'status.nodeInfo.kubeletVersion')),
    wide('Internal-IP', (node) => addressOf(node, 'InternalIP')),
    wide('External-IP', (node) => addressOf(node, 'ExternalIP')),
    wide('OS-Image', (node) => textAt(node, 'status.nodeInfo.osImage') || '<unknown>'),
    wide('Kernel-Version', (node) => textAt(node, 'status.nodeInfo.kernelVersion') || '<unknown>'),
    wide('Container-Runtime', (node) => textAt(node, 'status.nodeInfo.containerRuntimeVersion') || '<unknown>'),
  ]
}

function statusOf(node: KubeObject): string {
  const ready = listOfFields(node.status?.['conditions']).find(({ type }) => type === 'Ready')
  const words = [ready === undefined ? 'Unknown' : ready['status'] === 'True' ? 'Ready' : 'NotReady']
  if (node.spec?.['unschedulable'] === true) words.push('SchedulingDisabled')
  return words.join(',')
}

function rolesOf({ metadata }: KubeObject): string {
  const roles = Object.keys(metadata.labels ?? {}).filter((label) => label.startsWith(roleLabel) && label !== roleLabel)
  return roles.length === 0
    ? '<none>'
    : roles
        .map((label) => label.slice(roleLabel.length))
        .toSorted()
        .join(',')
}

function addressOf(node: KubeObject, type: string): string {
  return (
    textAt(
      listOfFields(node.status?.['addresses']).find((address) => address['type'] === type),
      'address',
    ) || '<none>'
  )
}
