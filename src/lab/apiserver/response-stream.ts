// Writes long responses in pieces, no faster than the client reads them.
import type { ServerResponse } from 'node:http'

/** Characters collected before a write. */
const pieceLength = 64 * 1024

/**
 * Writes all chunks, and waits whenever the client is slow.
 * @returns false when the client has disconnected.
 */
export async function writeChunks(response: ServerResponse, chunks: Iterable<string>): Promise<boolean> {
  let piece = ''
  for (const chunk of chunks) {
    piece += chunk
    if (piece.length < pieceLength) continue
    if (!(await writeOrWait(response, piece))) return false
    piece = ''
  }
  return piece === '' ? !response.closed : await writeOrWait(response, piece)
}

async function writeOrWait(response: ServerResponse, text: string): Promise<boolean> {
  if (response.closed || response.writableEnded) return false
  if (response.write(text)) return true
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done)
      resolve()
    }
    response.on('drain', done).on('close', done)
  })
  return !response.closed
}
