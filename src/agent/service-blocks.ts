// The blocks that the API server takes cluster IPs from (ServiceCIDRs; an older server has none). Nothing that is
// programmed by default depends on them (docs/adr/0017), so they are not watched for the few who ask, but read then.
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { parseEach } from '../cluster/parse-each.ts'
import { projectServiceCidr } from '../cluster/project-service-cidr.ts'
import type { Cidr } from '../net/cidr.ts'

const patienceMs = 2000

/** Empty where it has none, or does not answer at once. */
export async function serviceBlocks(api: ApiConnection): Promise<readonly Cidr[]> {
  const none = { items: [] as unknown[] }
  const read = api
    .request<{ items?: unknown[] | null }>('GET', '/apis/networking.k8s.io/v1/servicecidrs', { deadlineMs: patienceMs })
    .catch(() => none)
  // While no address of the server has answered, each is tried in turn, and that takes longer.
  const { items } = await Promise.race([read, sleep(patienceMs, none, { ref: false })])
  const ignore = () => undefined
  return parseEach(items ?? [], (item) => projectServiceCidr(item, ignore)[1], ignore).flat()
}
