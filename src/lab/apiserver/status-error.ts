// What the API answers instead of an object: a Status (API conventions, "Response Status Kind"). Clients decide by code
// and reason; people read the message.
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

  /** The body to answer. */
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

/** The body of a success that has no object to show: a deletion, a binding. */
export function successStatus(details: StatusDetails, code = 200): object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details, code }
}

/** How messages and details name a resource: "deployments.apps", "pods". */
export function qualifiedName(resource: Resource): string {
  return resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`
}

export function detailsOf(resource: Resource, name: string): StatusDetails {
  return { name, group: resource.group, kind: resource.plural }
}

export function notFound(resource: Resource, name: string): StatusError {
  return new StatusError(404, 'NotFound', `${qualifiedName(resource)} "${name}" not found`, detailsOf(resource, name))
}

export function noSuchPath(): StatusError {
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

/** 422: the object itself is wrong. The first cause is the message; all are in the details. */
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

/** 406 would send kubectl on searching: this says what to use instead. */
export function notHere(message: string): StatusError {
  return new StatusError(501, 'NotImplemented', message)
}

export function unauthorized(): StatusError {
  return new StatusError(401, 'Unauthorized', 'Unauthorized')
}

export function methodNotAllowed(): StatusError {
  return new StatusError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource')
}

/** 410: the events or the list asked for are no longer kept; the client lists anew. */
export function expired(message: string): StatusError {
  return new StatusError(410, 'Expired', message)
}

/** 504 with the cause by which client-go knows that its version comes from the future and lists anew. */
export function tooLargeVersion(asked: number, current: number): StatusError {
  const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }]
  return new StatusError(504, 'Timeout', `Too large resource version: ${asked}, current: ${current}`, {
    causes,
    retryAfterSeconds: 1,
  })
}
