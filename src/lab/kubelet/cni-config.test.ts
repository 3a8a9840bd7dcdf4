import { expect, test } from 'vitest'
import { chooseConfigFile, parseNetworkConfig, requestConfig, runtimeConfigOf } from './cni-config.ts'
import { projectPodManifest } from './pod-manifest.ts'

test('chooses the first configuration file by name', () => {
  expect(chooseConfigFile(['10-flannel.conflist', '05-fairlead.conflist.tmp', '05-fairlead.conflist', 'README'])).toBe(
    '05-fairlead.conflist',
  )
  expect(chooseConfigFile(['README', '05-x.tmp'])).toBeUndefined()
})

test.each([
  ['1.0.0', ['0.4.0', '1.0.0', '1.1.0'], '1.1.0'],
  ['1.0.0', ['1.1.0', '1.2.0'], '1.1.0'],
  ['0.3.1', [], '0.3.1'],
  ['1.0.0', ['0.4.0'], '1.0.0'],
])('chooses from version %s and %j the version %s', (cniVersion, cniVersions, expected) => {
  expect(
    parseNetworkConfig(JSON.stringify({ cniVersion, cniVersions, name: 'n', plugins: [{ type: 'p' }] })).cniVersion,
  ).toBe(expected)
})

test('passes a plugin the values that it declares capabilities for, with containerd names', () => {
  const config = parseNetworkConfig(
    JSON.stringify({
      cniVersion: '1.0.0',
      name: 'pods',
      plugins: [{ type: 'p', mine: 1, capabilities: { portMappings: true, bandwidth: true } }],
    }),
  )
  const [, pod] = projectPodManifest({
    metadata: {
      namespace: 'ns',
      name: 'a',
      uid: 'u',
      annotations: { 'kubernetes.io/ingress-bandwidth': '10M', 'kubernetes.io/egress-bandwidth': '1Ki' },
    },
    spec: {
      containers: [
        { name: 'c', ports: [{ containerPort: 80, hostPort: 8080, protocol: 'UDP' }, { containerPort: 81 }] },
      ],
    },
  })
  expect(requestConfig(config, config.plugins[0]!, { runtimeConfig: runtimeConfigOf(pod, '10.254.0.2') })).toEqual({
    type: 'p',
    mine: 1,
    capabilities: { portMappings: true, bandwidth: true },
    name: 'pods',
    cniVersion: '1.0.0',
    runtimeConfig: {
      portMappings: [{ HostPort: 8080, ContainerPort: 80, Protocol: 'udp', HostIP: '' }],
      bandwidth: { IngressRate: 10_000_000, IngressBurst: 4_294_967_295, EgressRate: 1024, EgressBurst: 4_294_967_295 },
    },
  })
})
