import { expect, test } from 'vitest'
import { foreignConfig } from './configs.ts'

test.each([
  ['{"name":"cbr0","plugins":[{"type":"flannel"},{"type":"portmap"}]}', { owner: 'flannel', network: 'cbr0' }],
  ['{"name":"kindnet","plugins":[{"type":"ptp"}]}', { owner: 'kindnet', network: 'kindnet' }],
  ['{"name":"net","plugins":[{"type":"cni-kindnet"}]}', { owner: 'kindnet', network: 'net' }],
  ['{"name":"mynet","plugins":[{"type":"bridge","bridge":"kube-bridge"}]}', { owner: 'kube-router', network: 'mynet' }],
  ['{"name":"old","type":"bridge"}', { owner: 'plugins', network: 'old' }],
  ['{"name":"podman","plugins":[{"type":"bridge","bridge":"cni-podman0"}]}', undefined],
  ['{"name":"mine","plugins":[{"type":"ptp"}]}', undefined],
  ['{"name":"none","plugins":[]}', undefined],
  ['{"plugins":[{"type":"flannel"}]}', undefined],
  ['flannel', undefined],
])('%s', (text, config) => expect(foreignConfig(text)).toEqual(config))
