/** What an operator may set of an agent, with its defaults. */

export interface AgentSettings {
  /** Milliseconds between two comparisons of the switch with what is wanted. */
  readonly auditInterval: number;
  /** Seconds of a DHCP lease. */
  readonly dhcpLeaseTime: number;
  /** DHCP option 15; empty: none. */
  readonly dhcpDomain: string;
}

export const defaultAgentSettings: AgentSettings = Object.freeze({
  auditInterval: 60_000,
  dhcpLeaseTime: 86_400,
  dhcpDomain: "",
});

/** Throws RangeError on a setting that cannot work. */
export function checkAgentSettings(settings: AgentSettings): void {
  const { auditInterval, dhcpLeaseTime } = settings;
  if (!(auditInterval >= 1_000)) throw new RangeError(`auditInterval is at least 1000 ms, not ${auditInterval}`);
  if (!Number.isInteger(dhcpLeaseTime) || dhcpLeaseTime < 60 || dhcpLeaseTime > 0xfffffffe) {
    throw new RangeError(`dhcpLeaseTime is 60 to 4294967294 seconds, not ${dhcpLeaseTime}`);
  }
}
