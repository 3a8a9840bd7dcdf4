// What a tool's message means. Text varies between versions, so this is the one place that reads it; measured with
// iproute2 6.1, iptables 1.8.9 and kernel 6.18.
import type { FailureKind } from './command-error.ts'

// The first that matches wins: "VNI already exists" is no `exists`, and a "wrong argument" may only be a device that is
// gone.
const meanings: readonly (readonly [RegExp, FailureKind])[] = [
  [/specified VNI already exists|Device or resource busy/, 'conflict'],
  [/File exists|already assigned|Exclusivity flag on/, 'exists'],
  [
    /No such (process|file or directory|device)|Cannot find device|Address not found|(Device|FIB table) .*does not exist|^Cannot remove namespace file/im,
    'missing',
  ],
  [
    /Invalid "netns" value|Cannot delete qdisc with handle of zero|Invalid handle|Failed to find (specified )?qdisc|Parent Qdisc doesn't exist/,
    'missing',
  ],
  [/No chain\/target\/match by that name|chain `[^']*' in table `[^']*' is incompatible/, 'missing'],
  [
    /argument ".*" is wrong|is a garbage|is expected rather than|Command line is not complete|Incomplete command|is unknown, try|not a valid ifname/,
    'usage',
  ],
  [
    /Unknown device type|Invalid mac address|policy validation|What is ".*"\?|Error occurred at line|unknown option/,
    'usage',
  ],
]

/** @param text what the tool said on stderr. */
export function classifyFailure(text: string): FailureKind {
  return meanings.find(([pattern]) => pattern.test(text))?.[1] ?? 'other'
}
