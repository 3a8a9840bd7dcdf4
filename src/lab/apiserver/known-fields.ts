// A written object without the fields that its kind does not have, and what is said about them.
import type { KubeObject } from './kube-object.ts'
import { modelOf } from './openapi/models.ts'
import { pruneUnknownFields } from './openapi/unknown-fields.ts'
import type { Resource } from './resources.ts'
import { badRequest } from './status-error.ts'
import type { WriteOptions } from './write-options.ts'

/** @throws StatusError 400 that names every unknown field, when asked to be strict. */
export function withKnownFields(
  resource: Resource,
  object: KubeObject,
  fieldValidation: WriteOptions['fieldValidation'],
): { object: KubeObject; warnings: readonly string[] } {
  const model = modelOf(resource)
  if (model === undefined) return { object, warnings: [] }
  const { value, unknown } = pruneUnknownFields(model, object)
  const complaints = unknown.map((path) => `unknown field "${path}"`)
  const { kind, version } = resource
  if (fieldValidation === 'Strict' && complaints.length > 0)
    throw badRequest(
      `${kind} in version "${version}" cannot be handled as a ${kind}: strict decoding error: ${complaints.join(', ')}`,
    )
  return { object: value as KubeObject, warnings: fieldValidation === 'Warn' ? complaints : [] }
}
