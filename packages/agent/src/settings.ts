/** What an operator may set of an agent: each option declared once, with its default, unit and what it does. */
import { isIP } from "node:net";
import { bridgeMappings } from "@selvage/datapath";
import { type Static, Type } from "typebox";
import { nameServers } from "./names/upstream.ts";

/** `unit` is what an option's number counts. */
const settingsProperties = {
  auditInterval: Type.Integer({
    description: "Time between two comparisons of the switch with what is wanted",
    unit: "ms",
    default: 60_000,
    minimum: 1_000,
  }),
  dhcpLeaseTime: Type.Integer({
    description: "How long a DHCP lease holds",
    unit: "s",
    default: 86_400,
    minimum: 60,
    maximum: 0xfffffffe,
  }),
  dhcpDomain: Type.String({
    description: "The domain that machines are told by DHCP (options 15 and 24); empty: the zone of their network",
    default: "",
    maxLength: 255,
  }),
  dnsServers: Type.String({
    description:
      "Servers that are asked for names of elsewhere, from this host: ADDRESS or ADDRESS:PORT ([ADDRESS]:PORT for IPv6), up to three with commas between; empty: machines are answered for the names of ports alone",
    default: "",
    maxLength: 255,
  }),
  metadata: Type.String({
    description:
      "Who answers machines' questions for metadata (169.254.169.254): port, this agent from the port's own data; nova, Nova's service, asked by the server; off, nobody",
    default: "port",
    pattern: "^(port|nova|off)$",
  }),
  bgpDaemon: Type.String({
    description:
      "The program that announces routes for BGP speakers: bgpd of FRR, run by this agent, beside no other of its daemons; empty: nothing is announced",
    default: "/usr/lib/frr/bgpd",
    pattern: "^(|/.*)$",
  }),
  bgpSource: Type.String({
    description: "The address of this machine that BGP sessions come from; empty: as the system routes",
    default: "",
    maxLength: 45,
  }),
  bgpRestartTime: Type.Integer({
    description:
      "How long BGP peers are asked to keep what this host announced when the agent ends without a word (graceful restart); 0: not at all",
    unit: "s",
    default: 60,
    minimum: 0,
    maximum: 4095,
  }),
  bgpBfdInterval: Type.Integer({
    description:
      "How often BGP peers that ask for it are told that this host lives (BFD); three missing signs end what they know of it; 0: never",
    unit: "ms",
    default: 300,
    minimum: 0,
    maximum: 60_000,
  }),
};

const settingsSchema = Type.Object(settingsProperties);
export type AgentSettings = Readonly<Static<typeof settingsSchema>>;

/** The whole of an agent's options as a file, the environment and flags say them; the process that runs it adds its log. */
export const agentOptions = Type.Object(
  {
    /** No default: only the operator knows where other hosts reach this one. */
    tunnelIp: Type.String({
      description: "Where other hosts' tunnels reach this one: an IPv4 or IPv6 address of this machine",
      minLength: 2,
    }),
    data: Type.String({
      description: "Where the agent keeps its identity and its copy of what this host needs; an absolute path",
      default: "/var/lib/selvage-agent",
      pattern: "^/",
    }),
    ovsdb: Type.String({
      description: "The switch's database: unix:PATH or tcp:ADDRESS:PORT",
      default: "unix:/run/openvswitch/db.sock",
      pattern: "^(unix:/|tcp:).",
    }),
    bridge: Type.String({
      description: "The bridge that machines plug into; made if it is not there",
      default: "br-int",
      pattern: "^[A-Za-z0-9_.-]{1,15}$",
    }),
    datapathType: Type.String({
      description:
        "Datapath of a bridge that is made, and told to Nova with each port (binding:vif_details): system (the kernel's) or netdev (in user space); empty: the switch's own default, which is the kernel's",
      default: "",
      pattern: "^(|system|netdev)$",
    }),
    bridgeMappings: Type.String({
      description:
        "Physical networks that this host has, each with the bridge that leads to it: NETWORK:BRIDGE, several with commas between; empty: none",
      default: "",
      pattern: "^( *[A-Za-z0-9_.-]+:[A-Za-z0-9_.-]{1,15} *(,|$))*$",
    }),
    healthPort: Type.Integer({
      description:
        "Port on 127.0.0.1 for /healthz, /readyz, /v1/status, /v1/flows and /metrics; 0: the unix socket DATA/agent.sock instead",
      default: 0,
      minimum: 0,
      maximum: 65535,
    }),
    ...settingsProperties,
  },
  { additionalProperties: false },
);
export type AgentConfig = Static<typeof agentOptions>;

export const defaultAgentSettings: AgentSettings = Object.freeze(
  // Each is the default that its own declaration gives; a test reads them through the schema.
  Object.fromEntries(
    Object.entries(settingsProperties).map(([name, schema]) => [
      name,
      "default" in schema ? schema.default : undefined,
    ]),
  ) as unknown as AgentSettings,
);

/** The settings that options hold. */
export function agentSettingsOf(config: AgentConfig): AgentSettings {
  const { auditInterval, dhcpLeaseTime, dhcpDomain, dnsServers, metadata } = config;
  const { bgpDaemon, bgpSource, bgpRestartTime, bgpBfdInterval } = config;
  return {
    ...{ auditInterval, dhcpLeaseTime, dhcpDomain, dnsServers, metadata },
    ...{ bgpDaemon, bgpSource, bgpRestartTime, bgpBfdInterval },
  };
}

/** What a schema cannot say: mistakes of options that each by itself are well formed. */
export function agentMistakes({
  tunnelIp,
  bridgeMappings: mappings,
  dnsServers,
  bgpSource,
}: AgentConfig): readonly { readonly field: string; readonly message: string }[] {
  const mistakes: { readonly field: string; readonly message: string }[] = [];
  if (isIP(tunnelIp) === 0)
    mistakes.push({ field: "tunnelIp", message: `"${tunnelIp}" is not an IPv4 or IPv6 address` });
  if (bgpSource !== "" && isIP(bgpSource) === 0)
    mistakes.push({ field: "bgpSource", message: `"${bgpSource}" is not an IPv4 or IPv6 address` });
  try {
    bridgeMappings(mappings);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    mistakes.push({ field: "bridgeMappings", message: cause.message });
  }
  try {
    nameServers(dnsServers);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    mistakes.push({ field: "dnsServers", message: cause.message });
  }
  return mistakes;
}

/** Throws RangeError on a setting that cannot work. */
export function checkAgentSettings(settings: AgentSettings): void {
  const { auditInterval, dhcpLeaseTime, dnsServers } = settings;
  nameServers(dnsServers);
  if (!(auditInterval >= 1_000)) throw new RangeError(`auditInterval is at least 1000 ms, not ${auditInterval}`);
  if (!Number.isInteger(dhcpLeaseTime) || dhcpLeaseTime < 60 || dhcpLeaseTime > 0xfffffffe) {
    throw new RangeError(`dhcpLeaseTime is 60 to 4294967294 seconds, not ${dhcpLeaseTime}`);
  }
}
