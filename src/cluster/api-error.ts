// Errors that the API server returns.

/** A Status object (k8s.io/apimachinery meta/v1), the body of error responses and of ERROR events. */
interface StatusObject {
  readonly kind?: string
  readonly code?: number
  readonly reason?: string
  readonly message?: string
}

export class ApiError extends Error {
  override readonly name = 'ApiError'
  /** The HTTP status. */
  readonly status: number
  /**
   * The machine-readable reason of the Status object: "AlreadyExists", "Expired", "Conflict". Empty when the response
   * has none.
   */
  readonly reason: string
  /** Seconds, from Retry-After. */
  readonly retryAfter: number | undefined

  constructor(failure: { status: number; reason: string; message: string; retryAfter?: number | undefined }) {
    super(failure.message)
    this.status = failure.status
    this.reason = failure.reason
    this.retryAfter = failure.retryAfter
  }
}

/**
 * Builds the error of an HTTP response.
 * @param request the method and URL, for the message.
 * @param body the text of the response: a Status object from the API server, anything from a proxy in front of it.
 */
export function apiErrorOf(
  request: string,
  answer: { status: number; retryAfter?: number | undefined },
  body: string,
): ApiError {
  const status = parseStatus(body)
  return new ApiError({
    status: answer.status,
    reason: status?.reason ?? '',
    message:
      status?.message ??
      `${request} was answered with ${answer.status}${body === '' ? '' : `: ${body.trim().slice(0, 200)}`}`,
    retryAfter: answer.retryAfter,
  })
}

/**
 * Builds the error of an ERROR event of a watch.
 * @param object the event's object.
 */
export function apiErrorOfEvent(request: string, object: unknown): ApiError {
  const status = (object ?? {}) as StatusObject
  return new ApiError({
    status: status.code ?? 500,
    reason: status.reason ?? '',
    message: status.message ?? `${request} ended with an error event`,
  })
}

function parseStatus(body: string): StatusObject | undefined {
  try {
    const status = JSON.parse(body) as StatusObject | null
    return status?.kind === 'Status' ? status : undefined
  } catch {
    return undefined
  }
}
