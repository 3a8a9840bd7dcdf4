// An iptables rule as a value: what it matches, and what it does. Text appears only where rules go to a program or come
// from one (parse-rule.ts).
//
// Values hold words as iptables-save prints them, quotes included. So a rule that was read can be written back word for
// word, whatever module it uses, and a rule of ours is compared with the print of the kernel's as text first.

/** One option of a match or a target: `--dport 80`, `! --ctstate NEW`, `--random-fully`. */
export interface Option {
  readonly name: string
  /** Its words as printed, empty where it takes none. */
  readonly value: string
  /** Preceded by `!`. */
  readonly negated: boolean
}

/** A condition: `-s 10.0.0.0/8`, `-m tcp --dport 80`. */
export interface Match {
  /** Empty for -s, -d, -i, -o and -p, which need none. */
  readonly module: string
  readonly options: readonly Option[]
}

/** A chain, or what iptables itself knows: ACCEPT, DNAT, ... */
export interface Target {
  /** `goto`: a packet that comes to the end of the chain does not come back here. */
  readonly verb: 'jump' | 'goto'
  readonly name: string
  readonly options: readonly Option[]
}

export interface Rule {
  /** In the order in which iptables-save prints them: -s, -d, -i, -o, -p, then the modules as they were given. */
  readonly matches: readonly Match[]
  /** Undefined where the rule only counts packets. */
  readonly target: Target | undefined
}

/** The rules of a table: chain name -> its rules in order. */
export type Chains = ReadonlyMap<string, readonly Rule[]>

/** Makes a rule from its parts in the order in which iptables-save prints them; undefined parts are left out. */
export function rule(...parts: readonly (Match | Target | undefined)[]): Rule {
  const matches: Match[] = []
  let target: Target | undefined
  for (const part of parts) {
    if (part === undefined) continue
    if ('verb' in part) target = part
    else matches.push(part)
  }
  return { matches, target }
}

/** Formats a rule as iptables-save prints it behind `-A CHAIN `. */
export function formatRule({ matches, target }: Rule): string {
  let text = ''
  for (const { module, options } of matches) {
    if (module !== '') text += ` -m ${module}`
    for (const option of options) text += formatOption(option)
  }
  if (target !== undefined) {
    text += target.verb === 'goto' ? ` -g ${target.name}` : ` -j ${target.name}`
    for (const option of target.options) text += formatOption(option)
  }
  return text.slice(1)
}

function formatOption({ name, value, negated }: Option): string {
  const plain = value === '' ? name : `${name} ${value}`
  return negated ? ` ! ${plain}` : ` ${plain}`
}

/** Quotes a word as iptables-save does (xtables_save_string): only where it holds more than letters, digits, _ and -. */
export function quoteWord(text: string): string {
  return /^[\w-]+$/.test(text) ? text : `"${text.replaceAll(/["\\']/g, String.raw`\$&`)}"`
}

/** Takes the quotes off a word that iptables-save printed. */
export function unquoteWord(word: string): string {
  return /^".*"$/.test(word) ? word.slice(1, -1).replaceAll(/\\(.)/g, '$1') : word
}

/** Returns the value of an option of the rule's matches or of its target; undefined where it has no such option. */
export function optionOf({ matches, target }: Rule, name: string): string | undefined {
  for (const { options } of [...matches, ...(target === undefined ? [] : [target])])
    for (const option of options) if (option.name === name) return option.value
  return undefined
}

/** Returns the text of the rule's comment; empty where it has none. */
export function commentOf(of: Rule): string {
  return unquoteWord(optionOf(of, '--comment') ?? '')
}

/** Compares two rules word by word. */
export function equalRules(a: Rule, b: Rule | undefined): boolean {
  return a === b || (b !== undefined && formatRule(a) === formatRule(b))
}
