// An error as the runtime reads it from stdout: always one JSON document (CNI spec 1.1.0, section "Error").
import { CniError, cniCodes } from './cni-error.ts'
import type { CniVersion } from './cni-version.ts'

/** @param version the request's; 1.0.0 where the error is that there is none (runtimes do not look at it). */
export function renderError(error: unknown, version: CniVersion = '1.0.0'): string {
  const { code, message, details } =
    error instanceof CniError ? error : { code: cniCodes.internal, message: messageOf(error), details: undefined }
  return `${JSON.stringify({ cniVersion: version, code, msg: message, details })}\n`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
