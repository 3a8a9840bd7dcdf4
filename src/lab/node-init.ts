// PID 1 of a node: makes a host out of a network, mount and pid namespace, and keeps the kubelet running in it.
//
// What the node writes to /run, /etc, /opt and /var/lib stays in memory of its own, above what the machine has there,
// and vanishes with it. The machine's other network namespaces are let go first: a copy of their mounts would keep them
// alive. mount's -n keeps it from noting anything in the machine's /run. The shell reaps every orphan while it waits,
// and it ends with SIGKILL alone, which ends all processes of the node.

/**
 * A POSIX shell script: $1 is the lab's directory, $2 `bridged`, or `routed` for a node without br_netfilter, the rest
 * is the kubelet's command, restarted one second after its end.
 */
export const nodeInitScript = `
set -eu
directory=$1
mode=$2
shift 2
umount -n -R -l /run/netns 2>/dev/null || true
mount -n -t tmpfs -o mode=755 tmpfs /mnt
mkdir -p /mnt/netns "/mnt\${directory#/run}"
mount -n --bind "$directory" "/mnt\${directory#/run}"
for path in /etc /opt /var/lib; do
  mkdir -p "/mnt/writes$path/upper" "/mnt/writes$path/work"
  mount -n -t overlay -o "lowerdir=$path,upperdir=/mnt/writes$path/upper,workdir=/mnt/writes$path/work" overlay "$path"
done
mount -n --move /mnt /run
mount -n -t sysfs sysfs /sys
if [ "$mode" = routed ] && [ -d /proc/sys/net/bridge ]; then
  for key in /proc/sys/net/bridge/bridge-nf-call-*; do echo 0 > "$key"; done
  mount -n -t tmpfs -o ro,mode=555 tmpfs /proc/sys/net/bridge
fi
rm -rf /etc/cni /opt/cni /var/lib/cni
mkdir -p /etc/cni/net.d /opt/cni/bin /var/lib/cni
while :; do
  "$@" &
  wait $! || true
  sleep 1
done
`
