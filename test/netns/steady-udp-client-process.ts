// A UDP client that keeps its source port: `node steady-udp-client-process.ts SOURCE-PORT ADDRESS PORT...`. It sends to
// the ports in turn, and prints each answer as "PORT SENT RECEIVED NAME", times in ms of the kernel's monotonic clock.
import { createSocket } from 'node:dgram'

const [sourcePort = '', address = '', ...ports] = process.argv.slice(2)
const everyMs = 1
const now = (): string => (Number(process.hrtime.bigint()) / 1e6).toFixed(3)

const socket = createSocket('udp4')
socket.on('message', (message) => {
  const [name = '', port = '', sent = ''] = message.toString().split(' ')
  process.stdout.write(`${port} ${sent} ${now()} ${name}\n`)
})
// A port that nobody has answers by ICMP.
socket.on('error', () => undefined)
socket.bind(Number(sourcePort), () => {
  let turn = 0
  setInterval(() => {
    const port = ports[turn++ % ports.length] ?? ''
    socket.send(`${port} ${now()}`, Number(port), address, () => undefined)
  }, everyMs)
})
