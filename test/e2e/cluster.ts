// A cluster to be tried, whichever it is: a real one by kubectl, or a lab.
import { join } from 'node:path'
import { execa } from 'execa'

export interface Cluster {
  /** Stdout. @throws {Error} in kubectl's words. */
  readonly kubectl: (args: readonly string[], input?: string) => Promise<string>
  /** Runs a shell script in a pod of namespace `e2e` and answers what it printed, whatever its exit code. */
  readonly inPod: (pod: string, script: string) => Promise<string>
  /** Of the pods that answer. */
  readonly image: string
  /** What starts the echo (src/lab/echo.ts) in a pod. */
  readonly echo: readonly string[]
  /** Whether names of Services are resolved. */
  readonly names: boolean
}

/** As `make image` names it. */
export const image = 'fairlead:latest'

/** What KUBECONFIG or the file says, with our own image on its nodes. */
export function realCluster(kubeconfig?: string): Cluster {
  const kubectl = async (args: readonly string[], input = ''): Promise<string> => {
    const { stdout } = await execa(
      'kubectl',
      [...(kubeconfig === undefined ? [] : ['--kubeconfig', kubeconfig]), ...args],
      { input },
    )
    return stdout
  }
  return {
    kubectl,
    inPod: async (pod, script) =>
      await kubectl(['exec', '--namespace', 'e2e', pod, '--', 'sh', '-c', `${script}\ntrue`]),
    image,
    echo: ['/opt/fairlead/bin/node', '/opt/fairlead/dist/echo.mjs'],
    names: true,
  }
}

/**
 * Applies a folder of deploy/ and waits until every node is Ready and names are resolved: what has to work before
 * anything else can.
 * @throws {Error} where it never does.
 */
export async function install({ kubectl }: Cluster, folder: string): Promise<void> {
  await kubectl(['apply', '-k', join(import.meta.dirname, '../../deploy', folder)])
  await kubectl(['--namespace', 'kube-system', 'rollout', 'status', 'daemonset/fairlead', '--timeout=180s'])
  await kubectl(['wait', '--for=condition=Ready', 'nodes', '--all', '--timeout=120s'])
  await kubectl(['--namespace', 'kube-system', 'rollout', 'status', 'deployment/coredns', '--timeout=240s'])
}

/** The agents one after the other, as an upgrade replaces them. */
export async function restartAgents({ kubectl }: Cluster): Promise<void> {
  await kubectl(['--namespace', 'kube-system', 'rollout', 'restart', 'daemonset/fairlead'])
  await kubectl(['--namespace', 'kube-system', 'rollout', 'status', 'daemonset/fairlead', '--timeout=240s'])
}
