/** Agents: every host as Neutron's clients know it, one Open vSwitch agent each (`agent`). Admin only. */
import { fail } from "@selvage/base";
import {
  boolean,
  computed,
  dictionary,
  field,
  Host,
  type Host as HostObject,
  nullable,
  type ObjectOf,
  Port,
  resource,
  text,
  uuid,
} from "@selvage/model";
import { isAdmin } from "../api/policy.ts";
import type { HostStates } from "../host-states.ts";
import { unwritten } from "./read-only.ts";
import type { ResourceRules, Values, World } from "./rules.ts";

const shown = { filter: true } as const;

const Agent = resource({
  kind: "agent",
  plural: "agents",
  fields: {
    id: field(uuid(), shown),
    agent_type: computed(text(255), shown),
    binary: computed(text(255), shown),
    topic: computed(text(255), shown),
    host: field(text(255), { filter: true, sort: true }),
    admin_state_up: field(boolean(), { update: "allowed", filter: true }),
    created_at: field(text(32)),
    started_at: field(text(32)),
    heartbeat_timestamp: computed(text(32)),
    description: field(nullable(text(255)), { update: "allowed", filter: true }),
    availability_zone: field(text(255), shown),
    alive: computed(boolean(), shown),
    configurations: computed(dictionary()),
    tunneling_ip: field(nullable(text(64)), { readers: "hidden" }),
  },
});
type Agent = ObjectOf<typeof Agent>;

export const agentRules: ResourceRules<typeof Agent> = {
  ...unwritten("agents"),
  resource: Agent,
  verbs: ["list", "show", "update"],
  notFound: (id) => fail("AgentNotFound", { id }),
  policy: { get: isAdmin, create: isAdmin, update: isAdmin, delete: isAdmin, attributes: {} },
  target: () => ({ projectId: "" }),
  made: {
    all: function* ({ view }) {
      for (const host of view.objects(Host)) yield agentOf(host);
    },
    one: ({ view }, id) => {
      const host = view.get(Host, id);
      return host === undefined ? undefined : agentOf(host);
    },
  },
  computed: {
    agent_type: () => "Open vSwitch agent",
    binary: () => "selvage-agent",
    topic: () => "N/A",
    heartbeat_timestamp: ({ id, started_at }, { hosts }) => heartbeat(hosts, id) ?? started_at,
    alive: ({ id }, { hosts }) => hosts.alive(id),
    configurations: configurationsOf,
  },
  update: ({ transaction }, { id }, { admin_state_up, description }) => {
    const host = transaction.view.get(Host, id);
    if (host === undefined) throw fail("AgentNotFound", { id });
    const changed = transaction.put(Host, {
      ...host,
      ...(typeof admin_state_up === "boolean" ? { admin_state_up } : {}),
      ...(description === undefined ? {} : { description: description as HostObject["description"] }),
    });
    return agentOf(changed);
  },
};

/** A host as the agent that announces what it holds, as lists of such agents show it. */
export function announcerReply(host: HostObject, { hosts }: World): Values {
  const { tunneling_ip: _own, ...agent } = agentOf(host);
  return {
    ...agent,
    agent_type: "BGP dynamic routing agent",
    binary: "selvage-agent",
    topic: "N/A",
    heartbeat_timestamp: heartbeat(hosts, host.id) ?? agent.started_at,
    alive: hosts.alive(host.id),
    configurations: {},
    resources_synced: null,
    resource_versions: {},
  };
}

function agentOf(host: HostObject): Agent {
  return {
    id: host.id,
    host: host.name,
    admin_state_up: host.admin_state_up,
    created_at: spaced(host.created_at),
    started_at: spaced(host.joined_at ?? host.created_at),
    description: host.description,
    availability_zone: host.availability_zone,
    tunneling_ip: host.tunnel_ip,
  };
}

function configurationsOf({ id, host, tunneling_ip }: Agent, { view, hosts }: World) {
  return {
    tunnel_types: ["geneve", "vxlan"],
    // Which bridge leads to each is the host's own: it tells what they are called.
    physical_networks: view.get(Host, id)?.physical_networks ?? [],
    tunneling_ip,
    integration_bridge: "br-int",
    datapath_type: hosts.of(id).datapath ?? null,
    devices: view.count(Port.index.host, host),
    extensions: [],
  };
}

function heartbeat(hosts: HostStates, id: string): string | undefined {
  const { heardAt } = hosts.of(id);
  return heardAt === 0 ? undefined : spaced(new Date(heardAt).toISOString());
}

/** `YYYY-MM-DD HH:MM:SS`: as agents' times alone are written. */
function spaced(time: string): string {
  return time.slice(0, 19).replace("T", " ");
}
