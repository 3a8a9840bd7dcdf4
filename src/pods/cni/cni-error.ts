// How a CNI request fails: a code that tells the runtime what to do, and one sentence that tells the person.

/** The specification's error codes (CNI spec 1.1.0, section "Error"); from 100 on they are ours. */
export const cniCodes = {
  /** A cniVersion we do not speak, or a command that this version does not have. */
  incompatibleVersion: 1,
  /** A field of the configuration holds what we do not do; the message has key and value. */
  unsupportedField: 2,
  /** The runtime need not send a DEL. */
  unknownContainer: 3,
  /** A CNI_* variable is missing or wrong; the message names it. */
  invalidEnvironment: 4,
  io: 5,
  /** What should be JSON is not. */
  decode: 6,
  /** JSON, but not a network configuration. */
  invalidConfig: 7,
  /** The namespace does not exist for us, or is the node's own. */
  invalidNetns: 8,
  /** Transient: the runtime may repeat the request. */
  tryAgain: 11,
  /** STATUS: no ADD can succeed. */
  notAvailable: 50,
  /** STATUS: no ADD can succeed, and pods that are there may have lost connectivity. */
  limitedConnectivity: 51,
  /** CHECK: the kernel holds something else than the attachment says. */
  stateDiffers: 100,
  /** As the reference library has it. */
  internal: 999,
} as const

export type CniCode = (typeof cniCodes)[keyof typeof cniCodes]

export class CniError extends Error {
  override readonly name = 'CniError'
  readonly code: CniCode
  /** More than the sentence, for the runtime's log; runtimes print it behind the message. */
  readonly details: string | undefined

  constructor(code: CniCode, message: string, more: { details?: string; cause?: unknown } = {}) {
    super(message, { cause: more.cause })
    this.code = code
    this.details = more.details
  }
}
