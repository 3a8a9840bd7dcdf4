// The Container Runtime Interface as kubelet speaks it: unary gRPC calls over the runtime's socket.
import { join } from 'node:path'
import { Client, credentials, type ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

interface NamespaceOptions {
  readonly network: 'POD' | 'NODE'
}

export interface SandboxConfig {
  readonly metadata: {
    readonly name: string
    readonly uid: string
    readonly namespace: string
    readonly attempt: number
  }
  readonly hostname: string
  readonly logDirectory: string
  readonly portMappings: readonly {
    readonly protocol: 'TCP' | 'UDP'
    readonly containerPort: number
    readonly hostPort: number
  }[]
  readonly annotations: Readonly<Record<string, string>>
  readonly linux: {
    readonly cgroupParent: string
    readonly securityContext?: { readonly namespaceOptions: NamespaceOptions }
  }
}

export interface ContainerConfig {
  readonly metadata: { readonly name: string; readonly attempt: number }
  readonly image: { readonly image: string }
  readonly args: readonly string[]
  readonly envs?: readonly { readonly key: string; readonly value: string }[]
  readonly mounts?: readonly {
    readonly containerPath: string
    readonly hostPath: string
    readonly readonly: boolean
    readonly propagation: 'PROPAGATION_PRIVATE' | 'PROPAGATION_HOST_TO_CONTAINER'
  }[]
  /** In the sandbox's log directory. */
  readonly logPath?: string
  readonly linux?: {
    readonly securityContext: {
      readonly capabilities: {
        readonly addCapabilities: readonly string[]
        readonly dropCapabilities: readonly string[]
      }
      readonly namespaceOptions: NamespaceOptions
      readonly readonlyRootfs: boolean
      readonly noNewPrivs: boolean
      readonly readonlyPaths: readonly string[]
      readonly seccomp: { readonly profileType: 'RuntimeDefault' }
    }
  }
}

export interface Condition {
  readonly type: string
  readonly status: boolean
  readonly reason: string
  readonly message: string
}

interface SandboxId {
  readonly podSandboxId: string
}

interface ContainerId {
  readonly containerId: string
}

/** Request and answer of each call, as cri.proto has them. */
interface Calls {
  Version: [{ version: string }, { runtimeName: string; runtimeVersion: string; runtimeApiVersion: string }]
  Status: [object, { status: { conditions: Condition[] } }]
  RunPodSandbox: [{ config: SandboxConfig }, SandboxId]
  StopPodSandbox: [SandboxId, object]
  RemovePodSandbox: [SandboxId, object]
  /** `info` is for people: containerd puts JSON under `info`, where it was asked to be verbose. */
  PodSandboxStatus: [
    SandboxId & { verbose?: boolean },
    {
      status: { state: 'SANDBOX_READY' | 'SANDBOX_NOTREADY'; network: { ip: string } | null }
      info: Record<string, string>
    },
  ]
  ListPodSandbox: [object, { items: { id: string }[] }]
  CreateContainer: [SandboxId & { config: ContainerConfig; sandboxConfig: SandboxConfig }, ContainerId]
  StartContainer: [ContainerId, object]
  /** The timeout, before SIGKILL, is in seconds. */
  StopContainer: [ContainerId & { timeout: number }, object]
  RemoveContainer: [ContainerId, object]
  ContainerStatus: [
    ContainerId,
    {
      status: {
        state: 'CONTAINER_CREATED' | 'CONTAINER_RUNNING' | 'CONTAINER_EXITED' | 'CONTAINER_UNKNOWN'
        exitCode: number
      }
    },
  ]
  ExecSync: [
    ContainerId & { cmd: readonly string[]; timeout: number },
    { stdout: Buffer; stderr: Buffer; exitCode: number },
  ]
  ImageStatus: [{ image: { image: string } }, { image: { id: string } | null }]
}

const services = loadSync(join(import.meta.dirname, 'cri.proto'), { defaults: true, enums: String, longs: Number })
const methods = {
  ...(services['runtime.v1.RuntimeService'] as ServiceDefinition),
  ...(services['runtime.v1.ImageService'] as ServiceDefinition),
}
/** kubelet's --runtime-request-timeout. */
const deadlineMs = 120_000

export class CriClient {
  readonly #client: Client

  constructor(socket: string) {
    this.#client = new Client(`unix://${socket}`, credentials.createInsecure())
  }

  /** @throws {Error} a ServiceError with the runtime's words, or one that says that nothing listens */
  async call<Name extends keyof Calls>(name: Name, request: Calls[Name][0]): Promise<Calls[Name][1]> {
    const { path, requestSerialize, responseDeserialize } = methods[name]!
    return await new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize as (bytes: Buffer) => Calls[Name][1],
        request,
        { deadline: Date.now() + deadlineMs },
        (error, answer) => {
          if (error !== null) reject(error)
          else resolve(answer!)
        },
      )
    })
  }

  close(): void {
    this.#client.close()
  }
}
