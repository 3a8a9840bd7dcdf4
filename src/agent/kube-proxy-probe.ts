// Asks whether a kube-proxy answers at an address, as its metrics and health addresses do.
import { exchange } from '../runtime/http-exchange.ts'

/** `unknown`: its health address answers, which does not tell the mode. */
export type KubeProxyMode = 'iptables' | 'nftables' | 'ipvs' | 'unknown'

const timeout = 1000

/** Undefined where nothing answers, or another program does. Never rejects. */
export async function kubeProxyAt(at: { host: string; port: number }): Promise<KubeProxyMode | undefined> {
  const mode = await get(at, '/proxyMode')
  if (mode === 'iptables' || mode === 'nftables' || mode === 'ipvs') return mode
  return (await get(at, '/healthz'))?.includes('"lastUpdated"') === true ? 'unknown' : undefined
}

async function get(at: { host: string; port: number }, path: string): Promise<string | undefined> {
  // Loaded where it is needed alone: an agent that stands alone never asks.
  const { request } = await import('node:http')
  try {
    return (await exchange(request({ ...at, path, timeout, agent: false }))).body.trim()
  } catch {
    return undefined
  }
}
