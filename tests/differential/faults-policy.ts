/** Faults in the tables of security groups, address pairs and routers: what a switch is told a little wrong there must be noticed too. */
import type { RenderedFlow } from "@selvage/datapath/testing";
import { type Action, type Fault, sets, withActions } from "./faults.ts";

type Flows = readonly RenderedFlow[];

const without = (flows: Flows, isGone: (action: Action) => boolean): Flows =>
  flows.map((flow) => withActions(flow, (action) => (isGone(action) ? [] : [action])));

/** Flows that no longer ask for a field. */
const unasked = (flows: Flows, field: string): Flows =>
  flows.map((flow) => ({ ...flow, match: flow.match.filter((each) => each.field !== field) }));

const copies = (action: Action, source: string): boolean =>
  action.kind === "copyField" && action.source.field === source;

export const policyFaults: readonly Fault[] = [
  {
    name: "the ports of a rule are forgotten",
    clauses: (clauses, row) => (row.rank === "service" && /(tcp|udp)Dst=/.test(row.id) ? [] : clauses),
  },
  {
    name: "a rule that names a group admits every set",
    clauses: (clauses, row) =>
      row.rank === "remote" && (row.key.srcSet !== undefined || row.key.dstSet !== undefined)
        ? clauses.map((clause) => ({ ...clause, match: [] }))
        : clauses,
  },
  {
    name: "a prefix that a rule names is forgotten",
    seed: 1,
    clauses: (clauses, row) => (/ip[46](Src|Dst)=/.test(row.id) ? [] : clauses),
  },
  {
    name: "what a rule says yes to has no verdict",
    flows: (flows, row) => (row?.table === "policy_in" && row.rank === "verdict" ? [] : flows),
  },
  {
    name: "a connection goes on whatever let it in",
    seed: 8,
    flows: (flows, row) => (row?.table === "live_in" && row.rank === "live" ? unasked(flows, "ct_label") : flows),
  },
  {
    name: "what is invalid is asked like what is new",
    flows: (flows, row) => (row?.table === "live_out" && row.rank === "invalid" ? [] : flows),
  },
  {
    name: "a connection is kept without the rule that let it in",
    flows: (flows, row) =>
      row === null
        ? flows.map((flow) =>
            withActions(flow, (action) =>
              action.kind === "ct" && action.mode === "commit" ? [{ ...action, actions: [] }] : [action],
            ),
          )
        : flows,
  },
  {
    name: "the sender's set does not travel",
    flows: (flows, row) => (row?.table === "tunnel_out" ? without(flows, (action) => copies(action, "reg2")) : flows),
  },
  {
    name: "a stateless port is tracked",
    flows: (flows, row) =>
      row?.action === "stateless"
        ? without(flows, (action) => sets(action, "metadata") || sets(action, "reg15"))
        : flows,
  },
  {
    name: "neighbour discovery is asked of the rules",
    flows: (flows, row) => (row?.table === "track_in" && row.action === "exempt" ? [] : flows),
  },
  {
    name: "the set of who has an address is not known where it is sent to",
    flows: (flows, row) => (row?.table === "dst_id" ? [] : flows),
  },
  {
    name: "the set of who sent by VXLAN is not known",
    seed: 4,
    flows: (flows, row) => (row?.table === "remote_id" ? [] : flows),
  },
  {
    name: "a MAC that several ports have is the first one's",
    flows: (flows, row) => (row?.table === "l2" && row.action === "holders" ? [] : flows),
  },
  {
    name: "what is asked around is not",
    flows: (flows, row) => (row?.action === "around" ? [] : flows),
  },
];

export const routerFaults: readonly Fault[] = [
  {
    name: "who has an address that moves gets what is for it under another's MAC",
    bucket: (bucket, row) =>
      row.table === "holders_here" && row.action === "held"
        ? { ...bucket, actions: bucket.actions.filter((action) => !sets(action, "eth_dst")) }
        : bucket,
  },
  {
    name: "a router takes no hop",
    flows: (flows, row) => (row?.table === "route" ? without(flows, (action) => action.kind === "decTtl") : flows),
  },
  {
    name: "a router sends by the MAC of the sender",
    flows: (flows, row) => (row?.table === "route" ? without(flows, (action) => sets(action, "eth_src")) : flows),
  },
  {
    name: "by a next hop of several the sender's MAC stays",
    bucket: (bucket, row) =>
      row.table === "next_hops"
        ? { ...bucket, actions: bucket.actions.filter((action) => !sets(action, "eth_src")) }
        : bucket,
  },
  {
    name: "a router that is down routes",
    flows: (flows, row) => (row?.action === "routerDown" ? [] : flows),
  },
  {
    name: "a ping to a router is answered from nowhere",
    flows: (flows, row) =>
      row?.action === "echo4" || row?.action === "echo6"
        ? without(flows, (action) => sets(action, "ipv4_src") || sets(action, "ipv6_src"))
        : flows,
  },
  {
    name: "what has no hop left is routed",
    flows: (flows, row) => (row?.table === "router_in" && row.action === "expired" ? [] : flows),
  },
  {
    name: "of two prefixes the shorter one wins",
    flows: (flows, row) =>
      row?.table === "route" ? flows.map((flow) => ({ ...flow, priority: 300 - flow.priority })) : flows,
  },
  {
    name: "scopes are routed to each other",
    flows: (flows, row) => (row?.table === "scopes" ? [] : flows),
  },
  {
    name: "who has no neighbour is not told so",
    flows: (flows, row) =>
      row?.table === "routed" && row.action === "unknown" ? without(flows, (action) => action.kind === "clone") : flows,
  },
  {
    name: "a packet that was routed once is taken for one that goes round",
    flows: (flows, row) => (row?.table === "hops" && row.key.hop === 0 ? [] : flows),
  },
];
