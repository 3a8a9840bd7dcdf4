// One end of the doctor's probes, inside a namespace: `answer` is an agent's health port, and says so in a line; `ask
// STATUS` prints what was found out about the peers that the status names.
import { agentStatusShape } from '../../src/agent/status-shape.ts'
import { healthHandler } from '../../src/agent/health.ts'
import { listen } from '../../src/runtime/http-listener.ts'
import { probeHandler } from '../../src/agent/probe.ts'
import { probePeers } from '../../src/explain/probe-peers.ts'
import { parseInterfaceName } from '../../src/net/interface-name.ts'

const [verb, status = ''] = process.argv.slice(2)
if (verb === 'ask') process.stdout.write(JSON.stringify(await probePeers(agentStatusShape.parse(JSON.parse(status)))))
else {
  await listen(
    { port: 10256 },
    healthHandler({ missing: () => [], probe: probeHandler(() => parseInterfaceName('fairlead.1')) }),
  )
  process.stdout.write('listening\n')
}
