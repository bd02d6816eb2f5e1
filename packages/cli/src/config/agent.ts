/** The configuration of an agent as a service: `/etc/selvage/agent.yaml`, `SELVAGE_*` variables, flags. */
import { type AgentSettings, defaultAgentSettings } from "@selvage/agent";
import { type Static, Type } from "typebox";
import { logConfig } from "./parts.ts";

const d = defaultAgentSettings;

export const agentConfig = Type.Object(
  {
    /** No default: only the operator knows where other hosts reach this one. */
    tunnelIp: Type.String({ minLength: 2 }),
    data: Type.String({ default: "/var/lib/selvage-agent", pattern: "^/" }),
    ovsdb: Type.String({ default: "unix:/run/openvswitch/db.sock", minLength: 1 }),
    bridge: Type.String({ default: "br-int", pattern: "^[A-Za-z0-9_.-]{1,15}$" }),
    datapathType: Type.String({ default: "", pattern: "^(|system|netdev)$" }),
    healthPort: Type.Integer({ default: 0, minimum: 0, maximum: 65535 }),
    auditInterval: Type.Integer({ default: d.auditInterval, minimum: 1000 }),
    dhcpLeaseTime: Type.Integer({ default: d.dhcpLeaseTime, minimum: 60, maximum: 4294967294 }),
    dhcpDomain: Type.String({ default: d.dhcpDomain, maxLength: 255 }),
    log: logConfig,
  },
  { additionalProperties: false },
);
export type AgentConfig = Static<typeof agentConfig>;

/** The settings that a configuration holds. */
export function agentSettingsOf(config: AgentConfig): AgentSettings {
  const chosen = Object.fromEntries(Object.entries(config).filter(([name]) => Object.hasOwn(d, name)));
  return { ...d, ...chosen };
}
