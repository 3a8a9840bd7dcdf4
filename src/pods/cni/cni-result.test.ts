import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addressFromBigInt, type Family, parseAddress } from '../../net/address.ts'
import { cidrOf, parseCidr } from '../../net/cidr.ts'
import { macOf, parseMac } from '../../net/mac.ts'
import { type CniResult, parseResult, renderResult } from './cni-result.ts'
import { cniVersions } from './cni-version.ts'

const result: CniResult = {
  interfaces: [
    { name: 'veth0123456789a', mac: parseMac('0a:00:00:00:00:01'), mtu: 1450, sandbox: undefined },
    { name: 'eth0', mac: parseMac('0a:58:0a:f4:01:05'), mtu: 1450, sandbox: '/run/netns/p' },
  ],
  ips: [
    { address: parseAddress('10.244.1.5'), prefix: 24, gateway: parseAddress('10.244.1.1'), interface: 1 },
    { address: parseAddress('fd00::5'), prefix: 64, gateway: undefined, interface: 1 },
  ],
  routes: [{ destination: parseCidr('0.0.0.0/0'), gateway: parseAddress('10.244.1.1'), mtu: 1400 }],
}

const eth0 = '"name":"eth0","mac":"0a:58:0a:f4:01:05"'
const veth = '"name":"veth0123456789a","mac":"0a:00:00:00:00:01"'

test.each([
  ['0.3.1', `[{${veth}},{${eth0},"sandbox":"/run/netns/p"}]`, '"version":"4",', '"version":"6",', ''],
  ['0.4.0', `[{${veth}},{${eth0},"sandbox":"/run/netns/p"}]`, '"version":"4",', '"version":"6",', ''],
  ['1.0.0', `[{${veth}},{${eth0},"sandbox":"/run/netns/p"}]`, '', '', ''],
  ['1.1.0', `[{${veth},"mtu":1450},{${eth0},"mtu":1450,"sandbox":"/run/netns/p"}]`, '', '', ',"mtu":1400'],
] as const)('a result in %s has the fields of that version and no others', (version, interfaces, four, six, mtu) => {
  expect(renderResult(result, version)).toBe(
    `{"cniVersion":"${version}","interfaces":${interfaces},"ips":[{${four}"address":"10.244.1.5/24","gateway":"10.244.1.1","interface":1},` +
      `{${six}"address":"fd00::5/64","interface":1}],"routes":[{"dst":"0.0.0.0/0","gw":"10.244.1.1"${mtu}}],"dns":{}}\n`,
  )
})

const address = (family: Family) =>
  fc.bigInt(0n, 2n ** (family === 4 ? 32n : 128n) - 1n).map((n) => addressFromBigInt(n, family))
const anyAddress = fc.oneof(address(4), address(6))
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })
const anyResult: fc.Arbitrary<CniResult> = fc.record({
  interfaces: fc.array(
    fc.record({
      name: fc.string({ minLength: 1 }),
      mac: maybe(anyAddress.map((a) => macOf('pod', a))),
      mtu: maybe(fc.nat()),
      sandbox: maybe(fc.string({ minLength: 1 })),
    }),
  ),
  ips: fc.array(
    fc.record({ address: anyAddress, prefix: fc.nat(32), gateway: maybe(anyAddress), interface: maybe(fc.nat(3)) }),
  ),
  routes: fc.array(
    fc.record({
      destination: fc.tuple(anyAddress, fc.nat(32)).map(([a, p]) => cidrOf(a, p)),
      gateway: maybe(anyAddress),
      mtu: maybe(fc.nat()),
    }),
  ),
})
const withoutMtu = ({ interfaces, ips, routes }: CniResult): CniResult => ({
  interfaces: interfaces.map((link) => ({ ...link, mtu: undefined })),
  ips,
  routes: routes.map((route) => ({ ...route, mtu: undefined })),
})

test('a result survives the way to text and back, but for what its version cannot say', () => {
  fc.assert(
    fc.property(anyResult, fc.constantFrom(...cniVersions), (made, version) => {
      expect(parseResult(JSON.parse(renderResult(made, version)))).toEqual(
        version === '1.1.0' ? made : withoutMtu(made),
      )
    }),
  )
})

test("another plugin's result is read with Go's empty values and host bits", () => {
  expect(
    parseResult({
      ips: [{ version: '4', address: '10.1.0.7/16', gateway: '' }],
      interfaces: null,
      routes: [{ dst: '10.1.0.7/16', gw: null }],
      dns: {},
    }),
  ).toEqual({
    interfaces: [],
    ips: [{ address: '10.1.0.7', prefix: 16, gateway: undefined, interface: undefined }],
    routes: [{ destination: parseCidr('10.1.0.0/16'), gateway: undefined, mtu: undefined }],
  })
})
