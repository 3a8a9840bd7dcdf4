// CNI_ARGS: KEY=VALUE pairs divided by semicolons, in any order, in which Kubernetes runtimes say whose sandbox it is.
import type { PodIdentity } from '../attachment.ts'
import { CniError, cniCodes } from './cni-error.ts'

/**
 * Undefined where the runtime names no pod (cnitool, podman). Keys that are not ours are ignored, as IgnoreUnknown=1
 * asks.
 * @throws {CniError} invalidEnvironment for a name that no pod can have: policy would look for it and find nothing.
 */
export function parsePodIdentity(args: string): PodIdentity | undefined {
  const pairs = new Map(
    args.split(';').map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)] as const),
  )
  const namespace = pairs.get('K8S_POD_NAMESPACE') ?? ''
  const name = pairs.get('K8S_POD_NAME') ?? ''
  const uid = pairs.get('K8S_POD_UID') ?? ''
  if (namespace === '' || name === '') return undefined
  require('K8S_POD_NAMESPACE', namespace, namespaceName)
  require('K8S_POD_NAME', name, podName)
  require('K8S_POD_UID', uid, podUid)
  return { namespace, name, uid: uid === '' ? undefined : uid }
}

/** RFC 1123 label and subdomain, as the API server enforces them; a uid is a UUID, or a hash for static pods. */
const namespaceName = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const podName = /^[a-z0-9][a-z0-9.-]{0,252}$/
const podUid = /^[\w-]{0,64}$/

function require(key: string, value: string, pattern: RegExp): void {
  if (!pattern.test(value))
    throw new CniError(
      cniCodes.invalidEnvironment,
      `CNI_ARGS: Expected ${key} to be a Kubernetes name, got \`${value.slice(0, 80)}\``,
    )
}
