// One option as it was given, before it is read.
import type { ConfigKey } from './config-keys.ts'

export interface Setting {
  readonly key: ConfigKey
  readonly value: unknown
  /** Where it was given, as the user wrote it: "--vxlan-port", "vxlanPort in /etc/fairlead.yaml". */
  readonly source: string
}
