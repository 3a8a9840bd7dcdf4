// What happens to the address of a pod that is gone.
import type { Step } from './step.ts'
import { describe, nodeOf } from './tour.ts'

export const addressRest: Step = {
  title: "A deleted pod's address rests before another pod gets it",
  async run(tour) {
    const node = nodeOf(tour.pod('tour-a'))
    const gone = await tour.createPod('tour-gone', node)
    await tour.deletePod(gone.name)
    const next = []
    for (const name of ['tour-next-1', 'tour-next-2', 'tour-next-3']) next.push(await tour.createPod(name, node))
    return {
      ok: next.every(({ address }) => address !== gone.address),
      tried: `${describe(gone)} is deleted, and three pods start on its node`,
      happened: `they got ${next.map(({ address }) => address).join(', ')}`,
      exhibits: [await tour.show(node, ['sh', '-c', 'grep -rs . /run/fairlead/rest*'])],
    }
  },
}
