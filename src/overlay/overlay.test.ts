// Laws of a whole pass, on a model of the kernel that reads the very lines we would send and does what the real one was
// seen to do with them.
import fc from 'fast-check'
import pino from 'pino'
import { expect, test } from 'vitest'
import type { ClusterNode } from '../cluster/node.ts'
import type { Change } from '../kernel/change.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { FdbEntry, InterfaceAddress, Link, Neighbour, Route } from '../kernel/observed.ts'
import { type Address, type Family, familyOf, parseAddress } from '../net/address.ts'
import { cidrContains, formatCidr, parseCidr, parseInterfaceAddress } from '../net/cidr.ts'
import { parseInterfaceName } from '../net/interface-name.ts'
import { type Mac, parseMac } from '../net/mac.ts'
import { desiredOverlay } from './desired.ts'
import { Overlay } from './overlay.ts'
import type { OverlaySettings } from './settings.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

type Words = [string, string, string, string, string, string, string, string]

class ModelKernel {
  readonly links: Mutable<Link>[]
  routes: Route[] = []
  readonly neighbours = new Map<Address, Mac>()
  readonly fdb = new Map<Mac, Address>()
  /** The words are those the expression caught; an optional one may be undefined. */
  readonly #verbs: [RegExp, (...words: Words) => void][] = [
    [
      /^ip link add (\S+) address (\S+) mtu (\d+) group (\d+) type vxlan id (\d+) local (\S+) dev (\S+) dstport (\d+) nolearning$/,
      (name, mac, mtu, group, vni, local, device, port) => {
        this.#refuse(
          this.links.some((link) => link.name === name),
          `${name} exists`,
        )
        const vxlan = { vni: Number(vni), port: Number(port), local: parseAddress(local), device, learning: false }
        this.links.push({
          ...hardware(name, Number(mtu), []),
          mac: parseMac(mac),
          group: Number(group),
          type: 'vxlan',
          vxlan,
          up: false,
        })
      },
    ],
    [
      /^ip link del (\S+)$/,
      (name) => {
        this.links.splice(this.links.indexOf(this.#link(name)), 1)
        this.routes = this.routes.filter((route) => route.device !== name)
        this.neighbours.clear()
        this.fdb.clear()
      },
    ],
    [
      /^ip link set (\S+) type vxlan id (\d+) local (\S+) dev (\S+)$/,
      (name, vni, local, device) => {
        const link = this.#link(name)
        this.#refuse(
          link.vxlan!.vni !== Number(vni) || familyOf(link.vxlan!.local!) !== familyOf(parseAddress(local)),
          'Cannot change vni or family',
        )
        link.vxlan = { ...link.vxlan!, local: parseAddress(local), device }
      },
    ],
    [
      /^ip link set (\S+) address (\S+)$/,
      (name, mac) => {
        this.#link(name).mac = parseMac(mac)
        this.neighbours.clear()
      },
    ],
    [
      /^ip link set (\S+) mtu (\d+)$/,
      (name, mtu) => {
        this.#link(name).mtu = Number(mtu)
      },
    ],
    [
      /^ip link set (\S+) up$/,
      (name) => {
        this.#link(name).up = true
      },
    ],
    [
      /^ip addr replace (\S+) dev (\S+)(?: nodad)?$/,
      (address, name) => {
        const link = this.#link(name)
        link.addresses = [
          ...link.addresses.filter((held) => held.address !== parseInterfaceAddress(address).address),
          interfaceAddress(address),
        ]
      },
    ],
    [
      /^ip addr del (\S+) dev (\S+)$/,
      (address, name) => {
        const link = this.#link(name)
        const left = link.addresses.filter((held) => `${held.address}/${held.prefix}` !== address)
        this.#refuse(left.length === link.addresses.length, 'Address not found')
        link.addresses = left
        if (!left.some((held) => familyOf(held.address) === 4))
          this.routes = this.routes.filter((route) => route.device !== name || route.family === 6)
      },
    ],
    [
      /^ip neigh replace (\S+) lladdr (\S+) dev (\S+) nud permanent$/,
      (address, mac, name) => {
        this.#link(name)
        this.neighbours.set(parseAddress(address), parseMac(mac))
      },
    ],
    [
      /^ip neigh del (\S+) dev \S+$/,
      (address) => this.#refuse(!this.neighbours.delete(parseAddress(address)), 'No such neighbour'),
    ],
    [
      /^bridge fdb replace (\S+) dev (\S+) dst (\S+) self permanent$/,
      (mac, name, to) => {
        this.#link(name)
        this.fdb.set(parseMac(mac), parseAddress(to))
      },
    ],
    [
      /^bridge fdb del (\S+) dev \S+ dst \S+ self$/,
      (mac) => this.#refuse(!this.fdb.delete(parseMac(mac)), 'No such entry'),
    ],
    [
      /^ip route replace (\S+) via (\S+) dev (\S+)( onlink)? proto 98$/,
      (to, gateway, name, onlink) => {
        const destination = parseCidr(to)
        this.#refuse(!this.#link(name).up, 'Network is down')
        const mismatch = this.routes.some(
          (route) =>
            route.family === 6 && route.device !== name && cidrContains(route.destination, parseAddress(gateway)),
        )
        this.#refuse(Boolean(onlink) && mismatch, 'Nexthop has invalid gateway or device mismatch')
        this.routes = this.routes.filter((route) => formatCidr(route.destination) !== to)
        this.routes.push({
          family: destination.family,
          destination,
          gateway: parseAddress(gateway),
          device: name,
          source: undefined,
          protocol: 98,
          onlink: Boolean(onlink),
          scope: undefined,
        })
      },
    ],
    [
      /^ip route del (\S+) dev (\S+) proto 98$/,
      (to, name) => {
        const left = this.routes.filter((route) => formatCidr(route.destination) !== to || route.device !== name)
        this.#refuse(left.length === this.routes.length, 'No such process')
        this.routes = left
      },
    ],
  ]

  constructor(links: readonly Link[]) {
    this.links = [...links]
  }

  run({ tool, line }: Change): void {
    for (const [pattern, act] of this.#verbs) {
      const match = pattern.exec(`${tool} ${line}`)
      if (match !== null) return act(...(match.slice(1) as Words))
    }
    throw new Error(`the model knows no \`${tool} ${line}\``)
  }

  /** As much of a Kernel as the overlay asks for. Any refused line is a defect, so it throws. */
  asKernel(): Kernel {
    const kernel: Partial<Kernel> = {
      apply: async (changes) => {
        for (const change of changes) this.run(change)
        return []
      },
      links: async () => [...this.links],
      routes: async (family) => this.routes.filter((route) => route.family === family),
      neighbours: async (family) =>
        [...this.neighbours]
          .filter(([address]) => familyOf(address) === family)
          .map(([address, mac]): Neighbour => ({ address, mac, permanent: true })),
      fdb: async () =>
        [...this.fdb].map(([mac, destination]): FdbEntry => ({ mac, destination, self: true, permanent: true })),
      readSysctl: async () => undefined,
    }
    return kernel as Kernel
  }

  snapshot(): unknown {
    const device = this.links.find((link) => link.type === 'vxlan')
    return {
      device: device && {
        mac: device.mac,
        mtu: device.mtu,
        up: device.up,
        vxlan: device.vxlan,
        addresses: device.addresses.map((held) => `${held.address}/${held.prefix}`).toSorted(),
      },
      neighbours: new Map(this.neighbours),
      fdb: new Map(this.fdb),
      routes: this.routes
        .map((route) => `${formatCidr(route.destination)} via ${route.gateway} dev ${route.device} ${route.onlink}`)
        .toSorted(),
    }
  }

  #link(name: string): Mutable<Link> {
    const link = this.links.find((candidate) => candidate.name === name)
    if (link === undefined) throw new Error(`Cannot find device ${name}`)
    return link
  }

  #refuse(condition: boolean, why: string): void {
    if (condition) throw new Error(why)
  }
}

function hardware(name: string, mtu: number, addresses: readonly InterfaceAddress[]): Mutable<Link> {
  return {
    index: 2,
    name,
    mac: undefined,
    mtu,
    up: true,
    carrier: true,
    group: 0,
    alias: undefined,
    type: undefined,
    master: undefined,
    peer: undefined,
    hairpin: undefined,
    vxlan: undefined,
    addresses,
  }
}

function interfaceAddress(text: string): InterfaceAddress {
  return { ...parseInterfaceAddress(text), scope: 'global' }
}

const self = 'node-0'
const fairlead1 = parseInterfaceName('fairlead.1')

/** A machine with two uplinks, of which the Node object names one. */
function machine(mtu: number): ModelKernel {
  return new ModelKernel([
    hardware('eth0', mtu, ['192.168.0.10/24', 'fd00::10/64'].map(interfaceAddress)),
    { ...hardware('eth1', mtu, ['192.168.1.10/24', 'fd01::10/64'].map(interfaceAddress)), index: 3 },
  ])
}

const families = fc.constantFrom<readonly Family[]>([4], [4, 6], [6, 4], [6])
const settings: fc.Arbitrary<OverlaySettings> = fc.record({
  nodeName: fc.constant(self),
  mode: fc.constantFrom<OverlaySettings['mode'][]>('vxlan', 'direct', 'auto'),
  vni: fc.constantFrom(1, 7),
  port: fc.constantFrom(8472, 4789),
  device: fc.constant(fairlead1),
  checksumOffload: fc.constant('keep'),
  mtu: fc.constantFrom<OverlaySettings['mtu'][]>('auto', 1400),
  families,
})

/** Some share podCIDR or address, lack one or the other, or stand in another subnet. */
const other: fc.Arbitrary<ClusterNode> = fc
  .record({
    id: fc.integer({ min: 1, max: 6 }),
    block: fc.integer({ min: 0, max: 5 }),
    size: fc.constantFrom(24, 24, 24, 23),
    net: fc.integer({ min: 0, max: 1 }),
    host: fc.integer({ min: 11, max: 14 }),
    kinds: fc.constantFrom<readonly Family[]>([], [4], [6], [4, 6], [6, 4]),
    createdAt: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ id, block, size, net, host, kinds, createdAt }) => ({
    name: `node-${id}`,
    uid: `${id}`,
    createdAt,
    podCidrs: kinds.map((family) =>
      parseCidr(family === 4 ? `10.244.${size === 23 ? block * 2 : block}.0/${size}` : `fd00:244:${block}::/64`),
    ),
    internalAddresses: host === 14 ? [] : [parseAddress(`192.168.${net}.${host}`), parseAddress(`fd0${net}::${host}`)],
    zone: undefined,
    leaving: false,
    alive: undefined,
    networkUnavailable: false,
    kubeletPort: 10_250,
  }))
const own: fc.Arbitrary<ClusterNode> = fc
  .tuple(fc.integer({ min: 0, max: 1 }), fc.integer({ min: 20, max: 21 }))
  .map(([net, block]) => ({
    name: self,
    uid: '0',
    createdAt: 0,
    podCidrs: [parseCidr(`fd00:244:${block}::/64`), parseCidr(`10.244.${block}.0/24`)],
    internalAddresses: [parseAddress(`192.168.${net}.10`), parseAddress(`fd0${net}::10`)],
    zone: undefined,
    leaving: false,
    alive: undefined,
    networkUnavailable: false,
    kubeletPort: 10_250,
  }))
const cluster = fc
  .tuple(own, fc.uniqueArray(other, { selector: (node) => node.name, maxLength: 6 }))
  .map(([me, others]) => [me, ...others])

/** What happens to a node's network at 3 a.m. */
const damages: Record<string, (kernel: ModelKernel) => void> = {
  deviceDeleted: (kernel) => kernel.run({ tool: 'ip', line: 'link del fairlead.1', kind: 'link', object: '' }),
  deviceDown: (kernel) => {
    kernel.links.find((link) => link.type === 'vxlan')!.up = false
    kernel.neighbours.clear()
    kernel.routes = kernel.routes.filter((route) => route.device !== 'fairlead.1')
  },
  macChanged: (kernel) =>
    kernel.run({ tool: 'ip', line: 'link set fairlead.1 address 02:00:00:00:00:01', kind: 'link', object: '' }),
  fdbFlushed: (kernel) => kernel.fdb.clear(),
  fdbStale: (kernel) => kernel.fdb.set(parseMac('02:00:00:00:00:02'), parseAddress('192.168.0.99')),
  fdbWrong: (kernel) => kernel.fdb.forEach((_, mac) => kernel.fdb.set(mac, parseAddress('192.168.0.99'))),
  neighbourStale: (kernel) => kernel.neighbours.set(parseAddress('10.244.99.0'), parseMac('02:00:00:00:00:02')),
  routesLost: (kernel) => {
    kernel.routes = []
  },
  addressesForeign: (kernel) =>
    kernel.run({ tool: 'ip', line: 'addr replace 169.254.7.7/16 dev fairlead.1', kind: 'link', object: '' }),
  learningOn: (kernel) => {
    const device = kernel.links.find((link) => link.type === 'vxlan')!
    device.vxlan = { ...device.vxlan!, learning: true }
  },
  mtuChanged: (kernel) => {
    kernel.links.find((link) => link.type === 'vxlan')!.mtu = 1300
  },
}
const damage = fc.subarray(Object.keys(damages), { maxLength: 4 })

function overlayOn(kernel: ModelKernel): Overlay {
  return new Overlay({ kernel: kernel.asKernel(), log: pino({ level: 'silent' }) })
}

test('whatever was there before and was damaged since, one pass gives exactly the desired state and the next finds nothing to do', async () => {
  await fc.assert(
    fc.asyncProperty(
      settings,
      cluster,
      damage,
      settings,
      cluster,
      async (settingsBefore, before, broken, settingsNow, now) => {
        const kernel = machine(1500)
        await overlayOn(kernel).reconcile(settingsBefore, before)
        for (const name of broken) if (kernel.links.some((link) => link.type === 'vxlan')) damages[name]?.(kernel)

        const { failures, podMtu, ready, problems } = await overlayOn(kernel).reconcile(settingsNow, now)
        const { state } = desiredOverlay(settingsNow, now, kernel.links)
        expect({ failures, ready }).toEqual({ failures: [], ready: true })
        expect(new Set(problems).size).toBe(problems.length)
        expect(podMtu).toBe(state?.podMtu)
        const device = state?.device
        expect(kernel.snapshot()).toEqual({
          device: device && {
            mac: device.mac,
            mtu: device.mtu,
            up: true,
            vxlan: { vni: device.vni, port: device.port, local: device.local, device: device.device, learning: false },
            addresses: device.addresses.map((address) => `${address}/${address.includes(':') ? 128 : 32}`).toSorted(),
          },
          neighbours: state?.neighbours,
          fdb: state?.fdb,
          routes: [...state!.routes.values()]
            .map(
              (route) =>
                `${formatCidr(route.destination)} via ${route.gateway} dev ${route.device} ${route.onlink ?? false}`,
            )
            .toSorted(),
        })
        expect((await overlayOn(kernel).reconcile(settingsNow, now)).changes).toEqual([])
      },
    ),
    { numRuns: 300 },
  )
})

test('the order in which nodes are told makes no difference', () => {
  fc.assert(
    fc.property(
      settings,
      cluster,
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      (settings, nodes, random) => {
        const shuffled = nodes
          .map((node) => [random.next().value as number, node] as const)
          .toSorted((a, b) => a[0] - b[0])
          .map(([, node]) => node)
        const { links } = machine(1500)
        expect(desiredOverlay(settings, shuffled, links)).toEqual(desiredOverlay(settings, nodes, links))
      },
    ),
  )
})

test('a node that leaves takes its own entries along and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(
      settings,
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 5 }),
      async (settings, count, leaver) => {
        const nodes = [node(0), ...Array.from({ length: count }, (_, i) => node(i + 1))]
        const kernel = machine(1500)
        await overlayOn(kernel).reconcile(settings, nodes)
        const { changes } = await overlayOn(kernel).reconcile(
          settings,
          nodes.filter(({ name }) => name !== `node-${leaver}`),
        )
        const mine = [`10.244.${leaver}.0`, `fd00:244:${leaver}::`, `02:58:0a:f4:0${leaver}:00`]
        expect(
          changes.filter(({ line }) => !line.includes(' del ') || !mine.some((part) => line.includes(part))),
        ).toEqual([])
        expect(changes.map(({ kind }) => kind)).toEqual(
          ['route', 'neighbour', 'fdb'].flatMap((kind) =>
            changes.filter((change) => change.kind === kind).map(() => kind),
          ),
        )
        expect(changes.length > 0).toBe(leaver <= count)
      },
    ),
  )
})

test('without the own node, its podCIDR or its uplink nothing is changed, and what to do is said', async () => {
  const kernel = machine(1500)
  const nodes = [node(0), node(1)]
  await overlayOn(kernel).reconcile(vxlan, nodes)
  const before = kernel.snapshot()
  const bad: [ClusterNode[], string][] = [
    [[], 'Node node-0 is not in the cluster, so nothing is changed; set nodeName'],
    [
      [{ ...node(0), podCidrs: [] }, node(1)],
      'Node node-0 has no podCIDR and is left out; run the controller manager with',
    ],
    [
      [{ ...node(0), internalAddresses: [parseAddress('192.168.9.9')] }, node(1)],
      'InternalIP 192.168.9.9 of node node-0 is on no link of this machine',
    ],
  ]
  for (const [told, sentence] of bad) {
    const { changes, problems, ready, podMtu } = await overlayOn(kernel).reconcile(vxlan, told)
    expect({ changes, ready, podMtu }).toEqual({ changes: [], ready: false, podMtu: 1450 })
    expect(problems.join('\n')).toContain(sentence)
  }
  expect(kernel.snapshot()).toEqual(before)
})

test('a node that starts beside an older living one with its podCIDR changes nothing; one that runs goes on', async () => {
  const rivals = [
    { ...node(0), createdAt: 9 },
    { ...node(1), podCidrs: node(0).podCidrs, alive: true },
  ]
  const kernel = machine(1500)
  const before = kernel.snapshot()
  const { changes, problems, ready } = await overlayOn(kernel).reconcile(vxlan, rivals)
  expect({ changes, ready }).toEqual({ changes: [], ready: false })
  expect(problems[0]).toContain(
    'Node node-0 has podCIDR 10.244.0.0/24, of which the older node node-1 holds 10.244.0.0/24',
  )
  expect(kernel.snapshot()).toEqual(before)

  await overlayOn(kernel).reconcile(vxlan, [node(0), node(1)])
  const running = await overlayOn(kernel).reconcile(vxlan, rivals)
  expect(running).toMatchObject({ ready: true, peers: 0, leftOut: [{ name: 'node-1' }] })
})

test('a node named by nobody else keeps its place when a younger one claims the same', async () => {
  const kernel = machine(1500)
  const thief = { ...node(2), podCidrs: [parseCidr('10.244.0.0/22')], createdAt: 9 }
  const twin = { ...node(3), internalAddresses: node(1).internalAddresses, createdAt: 9 }
  const { problems, peers } = await overlayOn(kernel).reconcile(vxlan, [thief, twin, node(1), node(0)])
  expect(peers).toBe(1)
  expect(problems).toEqual([
    'Node node-2 has podCIDR 10.244.0.0/22, of which the older node node-0 holds 10.244.0.0/24, and is left out; delete one of the two Node objects',
    'Node node-3 has InternalIP 192.168.0.11, as the older node node-1 has, and is left out; delete the Node object whose machine is gone',
  ])
})

test('an InternalIP inside a pod network, as a kubelet picks from its own bridge, carries no tunnel', async () => {
  const kernel = machine(1500)
  const { problems, peers } = await overlayOn(kernel).reconcile(vxlan, [
    node(0),
    { ...node(1), internalAddresses: [parseAddress('10.244.1.1')] },
    node(2),
  ])
  expect(peers).toBe(1)
  expect(problems).toEqual([
    "Node node-1 has InternalIP 10.244.1.1 inside podCIDR 10.244.1.0/24 of node node-1 and is left out; start its kubelet with the underlay's address as --node-ip",
  ])
})

test('another VXLAN device with the same VNI and port is named with its remedy, and nothing is half made', async () => {
  const kernel = machine(1500)
  const flannel = {
    ...hardware('flannel.1', 1450, []),
    type: 'vxlan',
    vxlan: { vni: 1, port: 8472, local: parseAddress('192.168.0.10'), device: 'eth0', learning: false },
  }
  kernel.links.push(flannel)
  const { changes, problems, ready } = await overlayOn(kernel).reconcile(vxlan, [node(0), node(1)])
  expect({ changes, ready }).toEqual({ changes: [], ready: false })
  expect(problems).toEqual([
    'Link flannel.1 already is VXLAN 1 on UDP port 8472, so fairlead.1 cannot be; remove it with `ip link del flannel.1` or set another vni or vxlanPort on every node',
  ])

  flannel.vxlan = { ...flannel.vxlan, local: parseAddress('fd00::10') }
  expect((await overlayOn(kernel).reconcile(vxlan, [node(0), node(1)])).ready).toBe(true)
})

test('a link of that name which is not ours is left alone', async () => {
  const kernel = machine(1500)
  kernel.links.push({ ...hardware('fairlead.1', 1450, []), type: 'vxlan', group: 0 })
  const { changes, problems } = await overlayOn(kernel).reconcile({ ...vxlan, mode: 'direct' }, [node(0)])
  expect({ changes, problems }).toEqual({ changes: [], problems: [] })
  expect((await overlayOn(kernel).reconcile(vxlan, [node(0)])).problems).toEqual([
    'Link fairlead.1 is there but was not made by Fairlead (type vxlan, group 0); remove it with `ip link del fairlead.1` or set vxlanDevice to another name',
  ])
})

test('direct mode names the peers that no route reaches; auto takes VXLAN for them', async () => {
  const far = { ...node(2), internalAddresses: [parseAddress('192.168.5.2')] }
  const kernel = machine(1500)
  const direct = await overlayOn(kernel).reconcile({ ...vxlan, mode: 'direct' }, [node(0), node(1), far])
  expect(direct.problems).toEqual([
    'Node node-2 is not on eth0 in IPv4, so no direct route leads to its pods; use overlay mode auto or vxlan',
  ])
  expect({ podMtu: direct.podMtu, peers: direct.peers }).toEqual({ podMtu: 1500, peers: 1 })
  const auto = await overlayOn(kernel).reconcile({ ...vxlan, mode: 'auto' }, [node(0), node(1), far])
  expect({ problems: auto.problems, podMtu: auto.podMtu, peers: auto.peers }).toEqual({
    problems: [],
    podMtu: 1450,
    peers: 2,
  })
  expect(new Set(kernel.routes.map(({ device }) => device))).toEqual(new Set(['eth0', 'fairlead.1']))
})

test('the MTU follows underlay and family, and a wish beyond it is cut with a word', async () => {
  const kernel = machine(9000)
  expect((await overlayOn(kernel).reconcile(vxlan, [node(0)])).podMtu).toBe(8950)
  expect((await overlayOn(kernel).reconcile({ ...vxlan, families: [6] }, [node(0)])).podMtu).toBe(8930)
  expect(await overlayOn(kernel).reconcile({ ...vxlan, mtu: 9000 }, [node(0)])).toMatchObject({
    podMtu: 8950,
    problems: [
      "Option mtu asks for 9000 bytes but the underlay carries 8950, which is used; lower mtu or raise the underlay's",
    ],
  })
})

const vxlan: OverlaySettings = {
  nodeName: self,
  mode: 'vxlan',
  vni: 1,
  port: 8472,
  device: fairlead1,
  checksumOffload: 'keep',
  mtu: 'auto',
  families: [4],
}

function node(i: number): ClusterNode {
  return {
    name: `node-${i}`,
    uid: `${i}`,
    createdAt: i,
    podCidrs: [parseCidr(`10.244.${i}.0/24`), parseCidr(`fd00:244:${i}::/64`)],
    internalAddresses: [parseAddress(`192.168.0.${10 + i}`), parseAddress(`fd00::${10 + i}`)],
    zone: undefined,
    leaving: false,
    alive: undefined,
    networkUnavailable: false,
    kubeletPort: 10_250,
  }
}
