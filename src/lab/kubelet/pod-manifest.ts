// The parts of a Pod that the kubelet stand-in uses.
import * as z from 'zod'

const probeAction = {
  tcpSocket: z.object({ port: z.union([z.number(), z.string()]) }).optional(),
  httpGet: z.object({ port: z.union([z.number(), z.string()]), path: z.string().default('/') }).optional(),
  exec: z.object({ command: z.array(z.string()) }).optional(),
}
const probe = z.object({
  ...probeAction,
  initialDelaySeconds: z.number().default(0),
  periodSeconds: z.number().default(10),
  timeoutSeconds: z.number().default(1),
  successThreshold: z.number().default(1),
  failureThreshold: z.number().default(3),
})
const port = z.object({
  name: z.string().optional(),
  containerPort: z.number(),
  hostPort: z.number().optional(),
  hostIP: z.string().default(''),
  protocol: z.enum(['TCP', 'UDP', 'SCTP']).default('TCP'),
})
const container = z.object({
  name: z.string(),
  command: z.array(z.string()).default([]),
  args: z.array(z.string()).default([]),
  env: z.array(z.object({ name: z.string(), value: z.string().optional() })).default([]),
  ports: z.array(port).default([]),
  readinessProbe: probe.optional(),
  /** Of preStop hooks only `sleep` is supported, which lets a terminating pod serve until proxies have noticed. */
  lifecycle: z
    .object({ preStop: z.object({ sleep: z.object({ seconds: z.number() }).optional() }).optional() })
    .optional(),
})
const pod = z.object({
  metadata: z.object({
    namespace: z.string(),
    name: z.string(),
    uid: z.string(),
    annotations: z.record(z.string(), z.string()).default({}),
    deletionTimestamp: z.string().optional(),
    deletionGracePeriodSeconds: z.number().optional(),
  }),
  spec: z.object({
    hostNetwork: z.boolean().default(false),
    restartPolicy: z.enum(['Always', 'OnFailure', 'Never']).default('Always'),
    terminationGracePeriodSeconds: z.number().default(30),
    containers: z.array(container),
  }),
  status: z.object({ phase: z.string().optional() }).default({}),
})

export type Probe = z.infer<typeof probe>
export type ContainerPort = z.infer<typeof port>
export type Container = z.infer<typeof container>
export type RestartPolicy = PodManifest['restartPolicy']

export interface PodManifest {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly annotations: Readonly<Record<string, string>>
  readonly hostNetwork: boolean
  readonly restartPolicy: 'Always' | 'OnFailure' | 'Never'
  /** Seconds between SIGTERM and SIGKILL. */
  readonly gracePeriod: number
  readonly deleted: boolean
  /** The pod had ended (Succeeded or Failed) before this kubelet saw it, so it must not run. */
  readonly finished: boolean
  readonly containers: readonly Container[]
}

/** Projects a Pod for a reflector. */
export function projectPodManifest(raw: unknown): readonly [key: string, pod: PodManifest] {
  const { metadata, spec, status } = pod.parse(raw)
  const manifest: PodManifest = {
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid,
    annotations: metadata.annotations,
    hostNetwork: spec.hostNetwork,
    restartPolicy: spec.restartPolicy,
    gracePeriod: metadata.deletionGracePeriodSeconds ?? spec.terminationGracePeriodSeconds,
    deleted: metadata.deletionTimestamp !== undefined,
    finished: status.phase === 'Succeeded' || status.phase === 'Failed',
    containers: spec.containers,
  }
  return [podLabel(manifest), Object.freeze(manifest)]
}

/** Compares what the kubelet reacts to. Containers never change, and the kubelet itself writes the status. */
export function podManifestsEqual(a: PodManifest, b: PodManifest): boolean {
  return a.uid === b.uid && a.deleted === b.deleted && a.gracePeriod === b.gracePeriod
}

/** Returns "namespace/name", for logs. */
export function podLabel(pod: { namespace: string; name: string }): string {
  return `${pod.namespace}/${pod.name}`
}
