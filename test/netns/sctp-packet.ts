// SCTP without SCTP: many kernels have no sockets for it, and a router needs none. The first packet of an association,
// as RFC 9260 lays it out.

/** INIT from port to port, with its checksum. */
export function sctpInit(from: number, to: number): Buffer {
  const packet = Buffer.alloc(32)
  packet.writeUInt16BE(from, 0)
  packet.writeUInt16BE(to, 2)
  // The verification tag of an INIT is 0. Its one chunk: type 1, 20 bytes, initiate tag, window, streams out and in,
  // first TSN.
  packet.writeUInt8(1, 12)
  packet.writeUInt16BE(20, 14)
  packet.writeUInt32BE(0xfa_1e_ad_01, 16)
  packet.writeUInt32BE(65_536, 20)
  packet.writeUInt16BE(10, 24)
  packet.writeUInt16BE(10, 26)
  packet.writeUInt32BE(1, 28)
  packet.writeUInt32LE(checksumOf(packet), 8)
  return packet
}

/** Destination port of a packet. @throws {Error} where its checksum is not that of its content. */
export function sctpDestination(packet: Buffer): number {
  if (packet.readUInt32LE(8) !== checksumOf(packet))
    throw new Error(`the checksum of ${packet.toString('hex')} is wrong`)
  return packet.readUInt16BE(2)
}

/** CRC32c over the packet with its checksum taken for 0. */
function checksumOf(packet: Buffer): number {
  let crc = 0xff_ff_ff_ff
  for (const [at, byte] of packet.entries()) {
    crc ^= at >= 8 && at < 12 ? 0 : byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82_f6_3b_78 : 0)
  }
  return ~crc >>> 0
}
