// Validates Events that are written through events.k8s.io/v1 (kubernetes pkg/apis/core/validation/events.go). Events of
// v1 are hardly validated, as on the real server.
import { isDeepStrictEqual } from 'node:util'
import { isFields, type KubeObject, textAt } from './kube-object.ts'
import { eventsV1 } from './resources.ts'
import { invalid, type StatusCause } from './status-error.ts'

const qualifiedName = /^([a-z0-9]([a-z0-9.-]*[a-z0-9])?\/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/
const microTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$/

/**
 * Checks an Event.
 * @param event with the field names of events.k8s.io/v1.
 * @param previous the stored Event with the same field names; undefined for a creation.
 * @throws StatusError 422 that names every invalid field.
 */
export function validateEvent(event: KubeObject, previous: KubeObject | undefined): void {
  const causes: StatusCause[] = []
  const report = (field: string, message: string): void =>
    void causes.push({
      reason: message.startsWith('Required') ? 'FieldValueRequired' : 'FieldValueInvalid',
      field,
      message,
    })
  const wantText = (field: string, limit: number): void => {
    const text = textAt(event, field)
    if (text === '') report(field, 'Required value')
    if (text.length > limit) report(field, `Invalid value: "": can have at most ${limit} characters`)
  }
  const { namespace } = event.metadata
  const regarding = textAt(event, 'regarding.namespace')
  if (regarding === '' && namespace !== 'default' && namespace !== 'kube-system')
    report('involvedObject.namespace', `Invalid value: "${regarding}": does not match event.namespace`)
  wantText('reportingController', 253)
  if (!qualifiedName.test(textAt(event, 'reportingController')))
    report('reportingController', 'Invalid value: a qualified name must consist of alphanumeric characters')
  wantText('reportingInstance', 128)
  wantText('action', 128)
  wantText('reason', 128)
  if (Buffer.byteLength(textAt(event, 'note')) > 1024)
    report('message', 'Invalid value: "": can have at most 1024 characters')
  validateSeries(event, report)
  if (previous === undefined) validateNew(event, report)
  else
    for (const field of immutable)
      if (!isDeepStrictEqual(event[field], previous[field])) report(field, 'Invalid value: field is immutable')
  if (causes.length > 0) throw invalid(eventsV1, event.metadata.name, causes)
}

type ReportField = (field: string, message: string) => void

const immutable = [
  'regarding',
  'reason',
  'note',
  'type',
  'eventTime',
  'action',
  'related',
  'reportingController',
  'reportingInstance',
  'deprecatedSource',
  'deprecatedFirstTimestamp',
  'deprecatedLastTimestamp',
  'deprecatedCount',
] as const

function validateNew(event: KubeObject, report: ReportField): void {
  if (!microTime.test(textAt(event, 'eventTime'))) report('eventTime', 'Required value')
  if (!['Normal', 'Warning'].includes(textAt(event, 'type')))
    report('type', `Invalid value: "": has invalid value: ${textAt(event, 'type')}`)
  for (const field of immutable)
    if (field.startsWith('deprecated') && event[field] !== undefined)
      report(field, 'Invalid value: "": needs to be unset')
}

function validateSeries({ series }: KubeObject, report: ReportField): void {
  if (!isFields(series)) return
  if (!(Number(series['count']) >= 2)) report('series.count', 'Invalid value: "": should be at least 2')
  if (!microTime.test(textAt(series, 'lastObservedTime'))) report('series.lastObservedTime', 'Required value')
}
