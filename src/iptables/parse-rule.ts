// Reads rules as iptables-save and `iptables -S` print them, and tells when two prints are the same rule.
import { type Match, type Option, type Rule, type Target, unquoteWord } from './rule.ts'

/** A line of `iptables -S` or iptables-save that is a rule. */
export interface PrintedRule {
  readonly chain: string
  readonly rule: Rule
  /** The packets that met the rule, where counters were asked for. */
  readonly packets: number | undefined
}

/**
 * Splits a line that declares a chain (`:CHAIN ...`) or holds a rule (`-A CHAIN ...`).
 * @returns the chain, and the rule as text where the line is one; undefined for any other line
 */
export function splitLine(line: string): { chain: string; rule: string | undefined } | undefined {
  const isRule = line.startsWith('-A ')
  if (!isRule && !line.startsWith(':')) return undefined
  const begin = isRule ? 3 : 1
  const end = line.indexOf(' ', begin)
  const chain = end === -1 ? line.slice(begin) : line.slice(begin, end)
  return { chain, rule: isRule ? (end === -1 ? '' : line.slice(end + 1)) : undefined }
}

/** Returns the texts of the rules in the print of one chain, without `-A CHAIN `. */
export function ruleTexts(lines: readonly string[]): string[] {
  return lines.flatMap((line) => splitLine(line)?.rule ?? [])
}

/** Parses a line; undefined where it holds no rule. */
export function parseLine(line: string): PrintedRule | undefined {
  const split = splitLine(line)
  if (split?.rule === undefined) return undefined
  return { chain: split.chain, ...parse(split.rule) }
}

/** Parses a rule. @param text as iptables-save prints it behind `-A CHAIN ` */
export function parseRule(text: string): Rule {
  return parse(text).rule
}

/** In these the next word is the value whatever it begins with: a comment may be `-j`. */
const takesAnyWord = new Set(['--comment', '--log-prefix', '--nflog-prefix', '--string'])

function parse(text: string): { rule: Rule; packets: number | undefined } {
  const words = text.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []
  const matches: Match[] = []
  let target: Target | undefined
  let packets: number | undefined
  /** Where the next option goes; undefined before the first match and target. */
  let options: Option[] | undefined
  let negated = false
  let i = 0
  const value = (name: string): string => {
    const from = i
    if (takesAnyWord.has(name)) i += 1
    else while (i < words.length && words[i] !== '!' && !/^--?[a-zA-Z]/.test(words[i] ?? '')) i += 1
    return words.slice(from, i).join(' ')
  }
  while (i < words.length) {
    const word = words[i] ?? ''
    i += 1
    if (word === '!') {
      negated = true
      continue
    }
    if (word === '-m') {
      options = []
      matches.push({ module: words[i] ?? '', options })
      i += 1
    } else if (word === '-j' || word === '-g') {
      options = []
      target = { verb: word === '-j' ? 'jump' : 'goto', name: words[i] ?? '', options }
      i += 1
    } else if (word === '-c') {
      packets = Number(words[i])
      i += 2
    } else {
      // -s, -p, ... need no module, nor does what follows -p without one.
      if (!word.startsWith('--') || options === undefined) {
        options = []
        matches.push({ module: '', options })
      }
      options.push({ name: word, value: value(word), negated })
    }
    negated = false
  }
  return { rule: { matches, target }, packets }
}

/**
 * Brings a rule into the form in which two prints of the same rule are equal: versions of iptables differ in the order
 * of matches, in quotes and in the prefix of single addresses.
 */
export function normalForm({ matches, target }: Rule): string {
  const conditions = matches.map(({ module, options }) =>
    [module, ...options.map(normalOption)].filter(Boolean).join(' '),
  )
  const action = target === undefined ? [] : [`${target.verb} ${target.name}`, ...target.options.map(normalOption)]
  return [...conditions.toSorted(), ...action].join(' ')
}

function normalOption({ name, value, negated }: Option): string {
  const plain = unquoteWord(value).replace(/^([\d.]+)\/32$|^([\da-f:]+)\/128$/, '$1$2')
  return JSON.stringify([negated, name, plain])
}

/**
 * Tells whether iptables' print of a rule is the rule that we wrote. Texts are nearly always equal; where they are not,
 * normal forms decide, and what a particular iptables was seen to print for a rule of ours.
 */
export class NormalForms {
  /** Normal form as written -> normal form as printed, where they differ. */
  readonly #learned = new Map<string, string>()

  /** @param written @param printed texts behind `-A CHAIN ` */
  same(written: string, printed: string): boolean {
    if (written === printed) return true
    const [ours, theirs] = [normalForm(parseRule(written)), normalForm(parseRule(printed))]
    return ours === theirs || this.#learned.get(ours) === theirs
  }

  sameAll(written: readonly string[], printed: readonly string[]): boolean {
    return written.length === printed.length && written.every((rule, i) => this.same(rule, printed[i] ?? ''))
  }

  /** Takes note that this iptables prints the one for the other. @returns whether that is news */
  learn(written: string, printed: string): boolean {
    if (this.same(written, printed)) return false
    this.#learned.set(normalForm(parseRule(written)), normalForm(parseRule(printed)))
    return true
  }
}
