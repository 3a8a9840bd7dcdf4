// The API server of a benchmark, in a process of its own: `node api-server-process.ts DIR POD_CIDR` prints a line once its one Node stands.
import { pino } from 'pino'
import { connectCluster } from '../../src/cluster/connect.ts'
import { startApiServer } from '../../src/lab/apiserver/server.ts'

const [dir = '', podCidr = ''] = process.argv.slice(2)
await startApiServer({ addresses: ['127.0.0.1'], port: 6443, dir, log: pino({ level: 'silent' }) })
await connectCluster({ kubeconfig: `${dir}/admin.kubeconfig` }).request('POST', '/api/v1/nodes', {
  body: { apiVersion: 'v1', kind: 'Node', metadata: { name: 'bench' }, spec: { podCIDR: podCidr, podCIDRs: [podCidr] }, status: { addresses: [{ type: 'InternalIP', address: '192.168.99.1' }] } },
})
console.log('ready')
