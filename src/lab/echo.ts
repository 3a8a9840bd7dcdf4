// The echo server, which a container of the lab runs unless it has a command, and its client. The server answers with
// the names of the pod and node and the address of the client: HTTP requests and plain lines over TCP, datagrams over
// UDP. The client prints the answer; its exit code is 1 without an answer within five seconds.
//
//   echo.mjs 8080/TCP 8080/UDP 53/UDP             serves
//   echo.mjs ask 172.30.1.2 8080/TCP              sends one request
//   echo.mjs many 172.30.1.2 8080/TCP 3000 5000   sends 3,000 with a timeout of 5,000 ms, and counts the answers
//   echo.mjs stream 172.30.1.2 8080/UDP 40000     sends datagrams from port 40000 until stdin ends
import { createSocket } from 'node:dgram'
import { createServer, type Socket } from 'node:net'
import { ask, askMany, stream } from './echo-client.ts'

const { POD_NAME: pod = '', POD_NAMESPACE: namespace = '', NODE_NAME: node = '' } = process.env

const [first = '', host = '', ...rest] = process.argv.slice(2)
if (first === 'ask') ask(host, rest[0] ?? '')
else if (first === 'many') await askMany(host, rest[0] ?? '', { count: Number(rest[1]), withinMs: Number(rest[2]) })
else if (first === 'stream') await stream(host, rest[0] ?? '', Number(rest[1]))
else for (const argument of process.argv.slice(2)) serve(argument)

function serve(argument: string): void {
  const [port = '', protocol = 'TCP'] = argument.split('/')
  if (protocol === 'UDP') serveDatagrams(Number(port))
  else if (protocol === 'TCP') serveStreams(Number(port))
}

// PID 1 of a container ignores these signals by default, but a deleted pod should end at once.
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => process.exit(0))

function serveStreams(port: number): void {
  createServer((socket) => {
    let received = ''
    socket.setEncoding('latin1')
    socket.on('error', () => socket.destroy())
    socket.on('data', (text: string) => {
      received = answerStream(socket, received + text)
    })
  }).listen({ port, backlog: 1024 })
}

/**
 * Answers each complete line or HTTP request. The connection stays open, so that tests can hold one across changes.
 * @returns the incomplete rest.
 */
function answerStream(socket: Socket, received: string): string {
  const http = /^[A-Z]+ \S+ HTTP\/1\.[01]\r\n/.test(received)
  const end = http ? received.indexOf('\r\n\r\n') + 4 : received.indexOf('\n') + 1
  const terminated = http ? end > 3 : end > 0
  // The limit cuts off a client that sends data without an end.
  if (!terminated) return received.slice(0, 65_536)
  const body = `${answer(socket.remoteAddress ?? '', socket.remotePort ?? 0, socket.localPort ?? 0, 'TCP')}\n`
  if (http) {
    const close = /\r\nconnection: *close\r\n/i.test(received) || received.includes('HTTP/1.0\r\n')
    const headers = [
      'HTTP/1.1 200 OK',
      'content-type: application/json',
      `content-length: ${Buffer.byteLength(body)}`,
      ...(close ? ['connection: close'] : []),
    ]
    socket.write(`${headers.join('\r\n')}\r\n\r\n${body}`)
    if (close) socket.end()
  } else socket.write(body)
  return end < received.length ? answerStream(socket, received.slice(end)) : ''
}

function serveDatagrams(port: number): void {
  const socket = createSocket({ type: 'udp6', reuseAddr: true })
  socket.on('message', (_, from) => socket.send(answer(from.address, from.port, port, 'UDP'), from.port, from.address))
  socket.bind(port)
}

function answer(address: string, clientPort: number, port: number, protocol: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '')
  const client = plain.includes(':') ? `[${plain}]:${clientPort}` : `${plain}:${clientPort}`
  return JSON.stringify({ pod, namespace, node, client, port, protocol })
}
