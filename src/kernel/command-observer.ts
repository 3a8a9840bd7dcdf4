/** Told of every command that has run: for metrics. It must not throw. */
export interface CommandObserver {
  /** @param tool the program ("ip", "iptables-nft-restore"); a batch counts as one command. */
  command(tool: string, seconds: number, ok: boolean): void
  /** Lines that a batch tool has answered. */
  lines(tool: string, count: number): void
}
