// A benchmark's own machine: its process started again in network, mount and PID namespaces of its own, with an empty
// /run, so that whatever it makes is gone when it ends.
import { spawnSync } from 'node:child_process'

/** True inside; outside it runs this very script again within the namespaces and answers false when that has ended. */
export function insidePrivateMachine(script: string, args: readonly string[]): boolean {
  if (process.env['PRIVATE_MACHINE'] === '1') return true
  const setUp = 'mount -t tmpfs tmpfs /run && mount -t sysfs sysfs /sys && ip link set lo up && exec "$@"'
  const child = spawnSync(
    'unshare',
    [
      '--mount',
      '--net',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      '--propagation',
      'private',
      'sh',
      '-c',
      setUp,
      'sh',
      process.execPath,
      script,
      ...args,
    ],
    {
      stdio: 'inherit',
      env: { ...process.env, PRIVATE_MACHINE: '1' },
    },
  )
  if (child.status !== 0) process.exitCode = child.status ?? 1
  return false
}
