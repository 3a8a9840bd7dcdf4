// The API server of a benchmark, in a process of its own: `node api-server-process.ts DIR POD_CIDR [ADDRESS]` prints a
// line once the node `bench` stands.
import { pino } from 'pino'
import { connectCluster } from '../../src/cluster/connect.ts'
import { startApiServer } from '../../src/lab/apiserver/server.ts'

const [dir = '', podCidr = '', address = '127.0.0.1'] = process.argv.slice(2)
await startApiServer({ addresses: [address], port: 6443, dir, nodes: ['bench'], log: pino({ level: 'silent' }) })
await connectCluster({ kubeconfig: `${dir}/admin.kubeconfig` }).request('POST', '/api/v1/nodes', {
  body: {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'bench' },
    spec: { podCIDR: podCidr, podCIDRs: [podCidr] },
    status: { addresses: [{ type: 'InternalIP', address: '192.168.99.1' }] },
  },
})
console.log('ready')
