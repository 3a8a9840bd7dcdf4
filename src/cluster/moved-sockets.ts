// Ends connections whose own address has left this machine: they can never be answered, and TCP would take most of a
// minute to find out (a node that gets another address from DHCP, docker restart).
import type { Socket } from 'node:net'
import { networkInterfaces } from 'node:os'

/** A look costs a millisecond where a hundred pods have their links. */
const checkMs = 3000

export class MovedSockets {
  readonly #open = new Set<Socket>()
  /** Runs while a socket is open. */
  #timer: NodeJS.Timeout | undefined

  /** Looks after the socket until it closes; one that is looked after already is not taken twice. */
  watch(socket: Socket): void {
    if (this.#open.has(socket)) return
    this.#open.add(socket)
    socket.once('close', () => {
      this.#open.delete(socket)
      if (this.#open.size > 0) return
      clearInterval(this.#timer)
      this.#timer = undefined
    })
    this.#timer ??= setInterval(() => this.#check(), checkMs).unref()
  }

  #check(): void {
    const here = new Set(
      Object.values(networkInterfaces())
        .flatMap((addresses) => addresses ?? [])
        .map(({ address }) => address),
    )
    for (const socket of this.#open) {
      const address = socket.localAddress?.replace('::ffff:', '')
      if (address !== undefined && !here.has(address))
        socket.destroy(new Error(`the connection's own address ${address} has left this machine`))
    }
  }
}
