/** Faults in the tables of the outside and of the host's services: what a switch is told a little wrong there must be noticed too. */
import type { RenderedFlow } from "@selvage/datapath/testing";
import { physicalName } from "@selvage/pipeline";
import { type Action, type Fault, sets, withActions } from "./faults.ts";

type Flows = readonly RenderedFlow[];

const without = (flows: Flows, isGone: (action: Action) => boolean): Flows =>
  flows.map((flow) => withActions(flow, (action) => (isGone(action) ? [] : [action])));

/** Flows that no longer ask for some fields. */
const unasked = (flows: Flows, ...fields: readonly string[]): Flows =>
  flows.map((flow) => ({ ...flow, match: flow.match.filter(({ field }) => !fields.includes(field)) }));

/** The fault that rows of a table are not there, those of one rank or action. */
const lacking = (
  name: string,
  table: string,
  { rank, action, seed }: { readonly rank?: string; readonly action?: string; readonly seed?: number } = {},
): Fault => ({
  name,
  ...(seed === undefined ? {} : { seed }),
  flows: (flows, row) =>
    row?.table === table && (rank ?? row.rank) === row.rank && (action ?? row.action) === row.action ? [] : flows,
});

const isTag = (action: Action): boolean =>
  action.kind === "pushVlan" || sets(action, "vlan_vid") || sets(action, "vlan_tci");

/** Ports of the block before that which a connection is to have, wherever in an action they are. */
function beyond(action: Action): Action {
  if (action.kind === "clone" || action.kind === "ct") return { ...action, actions: action.actions.map(beyond) };
  if (action.kind !== "nat" || action.ports === null) return action;
  const { min, max } = action.ports;
  const size = (max ?? min) + 1 - min;
  return { ...action, ports: { min: Math.max(1, min - size), max: min - 1 } };
}

export const outsideFaults: readonly Fault[] = [
  {
    name: "a frame keeps the tag with which it came",
    seed: 1,
    flows: (flows, row) => (row?.table === "provider_in" ? without(flows, ({ kind }) => kind === "popVlan") : flows),
  },
  {
    name: "a frame leaves without its tag",
    seed: 1,
    flows: (flows, row) => (row?.table === "provider_out" ? without(flows, isTag) : flows),
  },
  lacking("what a host has said comes back to it", "from_physical", { rank: "loop", seed: 1 }),
  {
    name: "who asks for an address outside is told another's MAC",
    seed: 2,
    flows: (flows, row) =>
      row?.table === "from_physical" && row.action === "arp"
        ? without(flows, (action) => sets(action, "arp_sha"))
        : flows,
  },
  lacking("what comes for a machine of another's block is not sent on", "ext_in", { rank: "steer", seed: 2 }),
  {
    name: "a block has all ports",
    seed: 2,
    flows: (flows, row) =>
      row?.table === "ext_in" && row.rank === "lease" ? unasked(flows, "tcp_dst", "udp_dst") : flows,
  },
  {
    name: "a forwarded port stays what it was outside",
    seed: 1,
    flows: (flows, row) =>
      row?.table === "ext_in" && row.rank === "forwarded"
        ? without(flows, (action) => sets(action, "tcp_dst") || sets(action, "udp_dst"))
        : flows,
  },
  lacking("an error about a floating address is sent on as it is", "ext_in", { rank: "inner", seed: 1 }),
  {
    name: "what bears no port is asked of the others alone",
    seed: 2,
    bucket: (bucket, row) =>
      row.table === "lease_hosts" && row.action === "here" ? { ...bucket, actions: [] } : bucket,
  },
  lacking("what is known of a router's address is not let in", "ext_in_state", { rank: "established", seed: 2 }),
  {
    name: "a machine leaves with its own address",
    seed: 1,
    flows: (flows, row) =>
      row?.table === "nat_out" && row.rank === "floating"
        ? without(flows, (action) => sets(action, "ipv4_src"))
        : flows,
  },
  lacking("a machine's errors leave that quote its own address", "nat_out", { rank: "error", seed: 7 }),
  {
    name: "a connection leaves with a port of another's block",
    seed: 2,
    flows: (flows, row) =>
      row?.table === "snat_new" ? flows.map((flow) => withActions(flow, (action) => [beyond(action)])) : flows,
  },
  lacking("what cannot be of any connection takes a port", "snat_state", { rank: "invalid", seed: 2 }),
  lacking("nothing that was translated leaves", "snat_check", { seed: 2 }),
  {
    name: "what the host's services answer bears the MAC of all machines",
    seed: 1,
    flows: (flows, row) => (row?.table === "service_in" ? without(flows, (action) => sets(action, "eth_dst")) : flows),
  },
  lacking("what comes for tenants' routers on a wire is nobody's", "interface_in", { seed: 1 }),
  {
    name: "of several routers on a wire each packet is the same one's",
    seed: 1,
    flows: (flows, row) => (row?.table === "interface_in" ? unasked(flows, "ipv4_dst", "ipv6_dst") : flows),
  },
  lacking("what comes for a tenants' router is taken for a gateway's", "from_physical", { action: "routed", seed: 1 }),
  lacking("a machine that learned which host speaks for its router is not heard", "to_router", {
    action: "wired",
    seed: 6,
  }),
  lacking("a router's answer to a ping by a wire bears no tag", "echo_back", { seed: 6 }),
  lacking("who is not known on a wire is not asked for", "routed", { rank: "asked", seed: 6 }),
  {
    name: "a network is heard by a wire on which it does not stand",
    seed: 4,
    flows: (flows, row) => (row?.table === "provider_in" ? unasked(flows, "in_port") : flows),
  },
  {
    name: "a network leaves by the other wire",
    seed: 2,
    row: (row) =>
      row.table === "provider_out" && row.args.port === physicalName("second")
        ? { ...row, args: { ...row.args, port: physicalName("public") } }
        : row,
  },
];
