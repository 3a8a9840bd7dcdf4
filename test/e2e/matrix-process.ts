// `node matrix-process.ts FOLDER`: installs deploy/FOLDER on the cluster of KUBECONFIG and puts it through the matrix,
//   before and after the agents were replaced. For
// clusters that others have made (run.sh). Exit code 1, and a sentence for each wrong answer, when something is not as
// it should be.
import { install, realCluster, restartAgents } from './cluster.ts'
import { askAll, startWorkload, stopWorkload } from './matrix.ts'

const [folder = ''] = process.argv.slice(2)
const cluster = realCluster()
await install(cluster, folder)
print(`deploy/${folder} is installed, nodes are Ready and CoreDNS runs`)
const facts = await startWorkload(cluster)
await ask('as installed')
await restartAgents(cluster)
await ask('with the agents replaced')
await stopWorkload(cluster)

async function ask(when: string): Promise<void> {
  const { asked, complaints } = await askAll(cluster, facts)
  print(`${when}: ${asked - complaints.length} of ${asked} answers are right`)
  for (const sentence of complaints) print(`  ${sentence}`)
  if (complaints.length > 0) process.exitCode = 1
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
