import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ConfigError } from '../../agent/config.ts'
import { findAssets } from './assets.ts'

const folder = mkdtempSync(join(tmpdir(), 'fairlead-assets-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('finds both programs, or says in one sentence what is missing', () => {
  expect(() => findAssets({})).toThrow(
    new ConfigError(
      '--control-plane envtest needs KUBEBUILDER_ASSETS: set it to a folder that holds etcd and kube-apiserver',
    ),
  )
  expect(() => findAssets({ KUBEBUILDER_ASSETS: folder })).toThrow(`found no program ${folder}/etcd`)
  writeFileSync(join(folder, 'etcd'), '', { mode: 0o755 })
  writeFileSync(join(folder, 'kube-apiserver'), '', { mode: 0o644 })
  expect(() => findAssets({ KUBEBUILDER_ASSETS: folder })).toThrow(ConfigError)
  expect(() => findAssets({ KUBEBUILDER_ASSETS: folder })).toThrow(`found no program ${folder}/kube-apiserver`)
  rmSync(join(folder, 'kube-apiserver'))
  writeFileSync(join(folder, 'kube-apiserver'), '', { mode: 0o755 })
  expect(findAssets({ KUBEBUILDER_ASSETS: folder })).toEqual({
    etcd: join(folder, 'etcd'),
    apiServer: join(folder, 'kube-apiserver'),
  })
})
