// What other networks leave on a node, made by the commands that they run themselves (reference: pod network 2.1, 2.3,
// 2.4, 3.2, 3.3, 3.5, 3.6, 4.2; services 1), as scripts for a machine whose uplink is 192.168.99.1/24.

/**
 * What is nobody's leftover: kubelet's and Docker's chains, a person's own, and what bears one of their names but is
 * something else.
 */
export function bystanders(backend: string, confDir: string): string {
  return `set -e
for iptables in iptables-${backend} ip6tables-${backend}; do
  $iptables -t mangle -N KUBE-KUBELET-CANARY
  $iptables -N KUBE-FIREWALL
  $iptables -I INPUT -j KUBE-FIREWALL
  $iptables -N DOCKER
  $iptables -A FORWARD -o docker0 -m comment --comment "not -j FLANNEL-FWD" -j DOCKER
  $iptables -t nat -N CILIUM_POST_nat
  $iptables -t nat -A POSTROUTING -j CILIUM_POST_nat
done
nft add table inet filter2
ipset create mine hash:ip
ip link add docker0 type bridge
ip link add flannel.9 type veth peer name tun-c0a86302
ip route add 10.77.0.0/16 via 192.168.99.9
ip route add 10.244.9.0/24 via 192.168.99.9 proto 99
ip rule add fwmark 5 lookup 77 priority 100
ip rule add from 10.1.0.0/16 lookup 78 priority 101
mkdir -p ${confDir} /var/lib/cni/networks/macvlan /var/lib/cni/results
echo keep >/var/lib/cni/networks/macvlan/10.9.9.9
echo '{"cniVersion":"1.0.0","name":"podman","plugins":[{"type":"bridge","bridge":"cni-podman0"}]}' >${confDir}/87-podman.conflist`
}

export function flannelLeftovers(backend: string, confDir: string): string {
  return `set -e
ip link add flannel.1 address 0a:00:00:00:00:01 mtu 1450 type vxlan id 1 local 192.168.99.1 dev uplink dstport 8472 nolearning
ip addr add 10.244.1.0/32 dev flannel.1
ip link set flannel.1 up
ip route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink
ip route add 10.244.3.0/24 via 192.168.99.3
for iptables in iptables-${backend} ip6tables-${backend}; do
  $iptables -t nat -N FLANNEL-POSTRTG
  $iptables -t nat -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN
  $iptables -t nat -A POSTROUTING -m comment --comment 'flanneld $(touch /run/executed) masq' -j FLANNEL-POSTRTG
  $iptables -N FLANNEL-FWD
  $iptables -A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
done
iptables-${backend} -A FLANNEL-FWD -s 10.244.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
nft add table ip flannel-ipv4
nft add table ip6 flannel-ipv6
mkdir -p /run/flannel /var/lib/cni/flannel ${confDir}
printf 'FLANNEL_NETWORK=10.244.0.0/16\\nFLANNEL_SUBNET=10.244.1.1/24\\n' >/run/flannel/subnet.env
echo '{}' >/var/lib/cni/flannel/c1
echo '{"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"flannel","delegate":{"hairpinMode":true}},{"type":"portmap"}]}' >${confDir}/10-flannel.conflist.set-aside-by-fairlead`
}

/** Of the plugins that flannel has called, for a pod whose namespace has gone without a DEL. */
export function pluginLeftovers(backend: string): string {
  return `set -e
ip link add cni0 type bridge
ip addr add 10.244.1.1/24 dev cni0
mkdir -p /var/lib/cni/networks/cbr0 /var/lib/cni/results
printf 'c1\\r\\neth0' >/var/lib/cni/networks/cbr0/10.244.1.2
printf 10.244.1.2 >/var/lib/cni/networks/cbr0/last_reserved_ip.0
touch /var/lib/cni/networks/cbr0/lock
echo '{"kind":"cniCacheV1","networkName":"cbr0","containerId":"c1","result":{"interfaces":[{"name":"cni0"},{"name":"eth0","sandbox":"/run/gone"}]}}' >/var/lib/cni/results/cbr0-c1-eth0
iptables-${backend}-restore --noflush <<END
*nat
:CNI-0123456789abcdef01234567 - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
:CNI-HOSTPORT-MASQ - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-DN-0123456789abcdef01234 - [0:0]
-A CNI-0123456789abcdef01234567 -d 10.244.1.0/24 -m comment --comment "name: \\"cbr0\\" id: \\"c1\\"" -j ACCEPT
-A POSTROUTING -s 10.244.1.2/32 -m comment --comment "name: \\"cbr0\\" id: \\"c1\\"" -j CNI-0123456789abcdef01234567
-A CNI-HOSTPORT-SETMARK -j MARK --set-xmark 0x2000/0x2000
-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
-I POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
-A CNI-DN-0123456789abcdef01234 -s 10.244.1.0/24 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A CNI-DN-0123456789abcdef01234 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.244.1.2:80
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"cbr0\\" id: \\"c1\\"" -m multiport --dports 8080 -j CNI-DN-0123456789abcdef01234
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
COMMIT
END`
}

export function kindnetLeftovers(backend: string, confDir: string): string {
  return `set -e
iptables-${backend} -t nat -N KIND-MASQ-AGENT
iptables-${backend} -t nat -A KIND-MASQ-AGENT -d 10.66.0.0/16 -m comment --comment "kind-masq-agent: local traffic is not subject to MASQUERADE" -j RETURN
iptables-${backend} -t nat -A KIND-MASQ-AGENT -j MASQUERADE
iptables-${backend} -t nat -A POSTROUTING -m addrtype ! --dst-type LOCAL -j KIND-MASQ-AGENT
nft add table inet kindnet-ipmasq
ip route add 10.66.2.0/24 via 192.168.99.4
mkdir -p /run/cni-ipam-state/kindnet /var/lib/cni-kindnet
printf 'c2\\r\\neth0' >/run/cni-ipam-state/kindnet/10.66.0.2
touch /run/cni-ipam-state/kindnet/lock /var/lib/cni-kindnet/cni.db
echo '{"cniVersion":"0.3.1","name":"kindnet","plugins":[{"type":"ptp"},{"type":"portmap"}]}' >${confDir}/10-kindnet.conflist`
}

export function kubeRouterLeftovers(backend: string): string {
  return `set -e
ip link add kube-bridge type bridge
ipset create KUBE-SRC-2FAGZ3C2WZ4AEHJB hash:ip
ipset create kube-router-pod-subnets hash:net
ipset create inet6:kube-router-node-ips hash:ip family inet6
iptables-${backend} -N KUBE-ROUTER-FORWARD
iptables-${backend} -N KUBE-POD-FW-2FAGZ3C2WZ4AEHJB
iptables-${backend} -A KUBE-ROUTER-FORWARD -d 10.55.1.2/32 -m comment --comment "rule to jump traffic destined to POD name:web" -j KUBE-POD-FW-2FAGZ3C2WZ4AEHJB
iptables-${backend} -A KUBE-POD-FW-2FAGZ3C2WZ4AEHJB -m set --match-set KUBE-SRC-2FAGZ3C2WZ4AEHJB src -j REJECT
iptables-${backend} -I FORWARD -m comment --comment "kube-router netpol - TEMCG2JMHZYE7H7T" -j KUBE-ROUTER-FORWARD
iptables-${backend} -A FORWARD -i kube-bridge -m comment --comment "allow outbound traffic from pods" -j ACCEPT
iptables-${backend} -t nat -A POSTROUTING -m set --match-set kube-router-pod-subnets src -m set ! --match-set kube-router-pod-subnets dst -j MASQUERADE --random-fully
ip route add 10.55.2.0/24 via 192.168.99.5 proto 17
ip rule add from 10.55.1.0/24 lookup 77
ip route add 10.55.3.0/24 via 192.168.99.6 table 77`
}

/** Of its modes iptables, ipvs and nftables. */
export function kubeProxyLeftovers(backend: string): string {
  return `set -e
iptables-${backend}-restore --noflush <<END
*mangle
:KUBE-PROXY-CANARY - [0:0]
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SVC-NPX46M4PTMTKRN6Y - [0:0]
:KUBE-SEP-SXIVWICOYRO3J4NJ - [0:0]
:KUBE-LOAD-BALANCER - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y
-A KUBE-SVC-NPX46M4PTMTKRN6Y -m comment --comment "default/kubernetes:https" -j KUBE-SEP-SXIVWICOYRO3J4NJ
-A KUBE-SEP-SXIVWICOYRO3J4NJ -s 192.168.99.2/32 -j KUBE-MARK-MASQ
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ
COMMIT
END
nft add table ip kube-proxy
ipset create KUBE-CLUSTER-IP hash:ip,port`
}
