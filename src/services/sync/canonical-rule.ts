// When two texts are the same rule. We write rules as iptables-save prints them, and kube-proxy's input comes out the
// same; versions differ in the order of matches and in quotes. So a rule that does not agree word for word is compared
// again in parts, each with its words in order and the parts sorted.

/** Whether the kernel's print is the rule that we want. */
export function isSameRule(wanted: string, printed: string): boolean {
  return wanted === printed || canonical(wanted) === canonical(printed)
}

export function areSameRules(wanted: readonly string[], printed: readonly string[]): boolean {
  return wanted.length === printed.length && wanted.every((rule, i) => isSameRule(rule, printed[i] ?? ''))
}

function canonical(rule: string): string {
  const words = rule.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []
  const parts: string[][] = []
  for (const [i, word] of words.entries()) {
    const opens = /^-[sdpiojgm]$/.test(word) || (word === '!' && /^-[sdpio]$/.test(words[i + 1] ?? ''))
    if (opens && !(words[i - 1] === '!' && parts.at(-1)?.length === 1)) parts.push([])
    parts.at(-1)?.push(plain(word))
  }
  return parts
    .map((part) => part.join(' '))
    .toSorted()
    .join(' ')
}

/** Without quotes, and a single address without its prefix. */
function plain(word: string): string {
  return word.replace(/^"(.*)"$/, '$1').replace(/^([\d.]+)\/32$|^([\da-f:]+)\/128$/, '$1$2')
}
