// Status objects, which the API returns instead of an object (API conventions, "Response Status Kind"). Clients act on
// code and reason; the message is for people.
import type { Resource } from './resources.ts'

export interface StatusCause {
  readonly reason: string
  readonly message: string
  readonly field?: string
}

export interface StatusDetails {
  readonly name?: string
  readonly group?: string
  readonly kind?: string
  readonly uid?: string
  readonly causes?: readonly StatusCause[]
  readonly retryAfterSeconds?: number
}

export class StatusError extends Error {
  override readonly name = 'StatusError'
  /** The HTTP status. */
  readonly code: number
  readonly reason: string
  readonly details: StatusDetails

  constructor(code: number, reason: string, message: string, details: StatusDetails = {}) {
    super(message)
    this.code = code
    this.reason = reason
    this.details = details
  }

  /** Returns the body of the response. */
  status(): object {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      details: this.details,
      code: this.code,
    }
  }
}

/** Builds the response of a success without an object, such as a deletion or a binding. */
export function successStatus(details: StatusDetails, code = 200): object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details, code }
}

/** Returns the name of a resource in messages and details: "deployments.apps", "pods". */
export function qualifiedName(resource: Resource): string {
  return resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`
}

export function detailsOf(resource: Resource, name: string): StatusDetails {
  return { name, group: resource.group, kind: resource.plural }
}

export function notFound(resource: Resource, name: string): StatusError {
  return new StatusError(404, 'NotFound', `${qualifiedName(resource)} "${name}" not found`, detailsOf(resource, name))
}

export function pathNotFound(): StatusError {
  return new StatusError(404, 'NotFound', 'the server could not find the requested resource')
}

export function alreadyExists(resource: Resource, name: string): StatusError {
  return new StatusError(
    409,
    'AlreadyExists',
    `${qualifiedName(resource)} "${name}" already exists`,
    detailsOf(resource, name),
  )
}

export function conflict(resource: Resource, name: string, why: string): StatusError {
  return new StatusError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualifiedName(resource)} "${name}": ${why}`,
    detailsOf(resource, name),
  )
}

/** Builds a 422 for an invalid object. The message lists all causes, and the details have them one by one. */
export function invalid(resource: Resource, name: string, causes: readonly StatusCause[]): StatusError {
  const words = causes.map(({ field, message }) => (field === undefined ? message : `${field}: ${message}`)).join(', ')
  return new StatusError(
    422,
    'Invalid',
    `${resource.kind}${resource.group === '' ? '' : `.${resource.group}`} "${name}" is invalid: ${words}`,
    { name, group: resource.group, kind: resource.kind, causes },
  )
}

export function forbidden(resource: Resource, name: string, why: string): StatusError {
  return new StatusError(
    403,
    'Forbidden',
    `${qualifiedName(resource)} "${name}" is forbidden: ${why}`,
    detailsOf(resource, name),
  )
}

export function badRequest(message: string): StatusError {
  return new StatusError(400, 'BadRequest', message)
}

/** Builds a 501. kubectl reacts to a 406 with further attempts; the message says what to use instead. */
export function notImplemented(message: string): StatusError {
  return new StatusError(501, 'NotImplemented', message)
}

export function unauthorized(): StatusError {
  return new StatusError(401, 'Unauthorized', 'Unauthorized')
}

export function methodNotAllowed(): StatusError {
  return new StatusError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource')
}

/** Builds a 410: the requested events or list were dropped, and the client must list again. */
export function expired(message: string): StatusError {
  return new StatusError(410, 'Expired', message)
}

/** Builds a 504 with the cause that client-go recognizes: the requested version is in the future, so it lists again. */
export function tooLargeVersion(requested: number, current: number): StatusError {
  const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }]
  return new StatusError(504, 'Timeout', `Too large resource version: ${requested}, current: ${current}`, {
    causes,
    retryAfterSeconds: 1,
  })
}
