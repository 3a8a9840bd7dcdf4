// The settings of a lab, stored in its directory so that nodes added later have the same.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'
import type { Lab } from './layout.ts'

export const overlayModes = ['vxlan', 'direct', 'auto'] as const
/** `envtest`: a real etcd and kube-apiserver, from KUBEBUILDER_ASSETS. */
export const controlPlanes = ['builtin', 'envtest'] as const
const schema = z.object({
  overlay: z.enum(overlayModes),
  controlPlane: z.enum(controlPlanes),
  /** False runs nodes as on a kernel without br_netfilter: pods have a /32, and all traffic is routed. */
  brNetfilter: z.boolean(),
})

export type LabSettings = z.infer<typeof schema>

/** Returns undefined when there is no such lab. */
export function readSettings(lab: Lab): LabSettings | undefined {
  const file = settingsFile(lab)
  return existsSync(file) ? schema.parse(JSON.parse(readFileSync(file, 'utf8'))) : undefined
}

/** The settings of a new lab. */
export const defaultSettings: LabSettings = { overlay: 'vxlan', controlPlane: 'builtin', brNetfilter: true }

export function writeSettings(lab: Lab, settings: LabSettings): void {
  writeFileSync(settingsFile(lab), `${JSON.stringify(settings)}\n`)
}

function settingsFile(lab: Lab): string {
  return join(lab.directory, 'settings.json')
}
