// GET pods/NAME/log: the output of a container, from the files that the lab's kubelets write.
import { open } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type KubeObject, listOfFields, textAt } from './kube-object.ts'
import { badRequest, StatusError } from './status-error.ts'

/** ms between reads of a followed file. */
const pollMs = 200

export interface PodLogRequest {
  /**
   * The folder with one file `NAMESPACE_POD_CONTAINER.log` for each container; undefined when no kubelet writes any.
   */
  readonly directory: string | undefined
  /** Returns the pod in its current state; undefined once it is gone. */
  readonly pod: () => KubeObject | undefined
  readonly query: URLSearchParams
}

/** @throws StatusError 404, 400 or 501, before the response begins. */
export async function servePodLog({ directory, pod, query }: PodLogRequest, response: ServerResponse): Promise<void> {
  const object = pod()
  if (object === undefined || directory === undefined)
    throw new StatusError(501, 'NotImplemented', 'no kubelet keeps logs for this API server')
  const container = containerOf(object, query.get('container') ?? '')
  if (query.get('previous') === 'true')
    throw badRequest(
      `previous terminated container "${container}" in pod "${object.metadata.name}" not found: ` +
        'the lab keeps all output of a container in one log',
    )
  const file = await openLog(join(directory, `${object.metadata.namespace}_${object.metadata.name}_${container}.log`))
  if (file === undefined)
    throw badRequest(`container "${container}" in pod "${object.metadata.name}" is waiting to start: ContainerCreating`)
  try {
    const text = await file.readFile('utf8')
    response.writeHead(200, { 'content-type': 'text/plain' })
    response.write(lastLines(text, query.get('tailLines')))
    // Each read continues where the last one ended, so it returns what was appended meanwhile.
    while (query.get('follow') === 'true' && !response.closed && pod()?.metadata.uid === object.metadata.uid) {
      await sleep(pollMs)
      const more = await file.readFile('utf8')
      if (more !== '') response.write(more)
    }
    response.end()
  } finally {
    await file.close()
  }
}

async function openLog(path: string) {
  try {
    return await open(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function containerOf(pod: KubeObject, requested: string): string {
  const names = listOfFields(pod.spec?.['containers']).map((container) => textAt(container, 'name'))
  if (requested !== '' && !names.includes(requested))
    throw badRequest(`container ${requested} is not valid for pod ${pod.metadata.name}`)
  if (requested === '' && names.length > 1)
    throw badRequest(
      `a container name must be specified for pod ${pod.metadata.name}, choose one of: [${names.join(' ')}]`,
    )
  return requested || (names[0] ?? '')
}

function lastLines(text: string, count: string | null): string {
  if (count === null || count === '' || count === '-1') return text
  if (!/^\d+$/.test(count)) throw badRequest(`Expected tailLines to be a whole number, got \`${count}\``)
  const lines = text.split(/(?<=\n)/)
  return Number(count) === 0 ? '' : lines.slice(-Number(count)).join('')
}
