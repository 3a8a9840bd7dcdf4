import { expect, test } from 'vitest'
import { formatCidr } from '../net/cidr.ts'
import { projectServiceCidr } from './project-service-cidr.ts'

test('keeps the valid blocks and reports an invalid one', () => {
  const problems: unknown[] = []
  const [key, cidrs] = projectServiceCidr(
    { metadata: { name: 'kubernetes' }, spec: { cidrs: ['10.254.0.0/16', '10.254.0.1/16', 'fd00:254::/112'] } },
    (...problem) => problems.push(problem),
  )
  expect([key, cidrs.map(formatCidr)]).toEqual(['kubernetes', ['10.254.0.0/16', 'fd00:254::/112']])
  expect(problems).toEqual([
    [expect.stringMatching(/^ServiceCIDR kubernetes: spec\.cidrs `10\.254\.0\.1\/16` is left out: /), 'service-cidr'],
  ])
})
