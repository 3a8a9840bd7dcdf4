// For tests on a real kube-apiserver.
import { describe } from 'vitest'

/**
 * Like `describe`, for tests that need etcd and kube-apiserver: skipped by name where KUBEBUILDER_ASSETS does not say
 * where they are.
 */
export function describeRealApi(name: string, body: () => void): void {
  const there = (process.env['KUBEBUILDER_ASSETS'] ?? '') !== ''
  // oxlint-disable-next-line vitest/valid-title -- the title is the caller's
  describe.skipIf(!there)(there ? name : `${name} (skipped: needs KUBEBUILDER_ASSETS)`, () => {
    body()
  })
}
