/**
 * The way to physical networks: a pair of patch ports between our bridge and the one that an operator names for each (ovs-vswitchd.conf.db(5), "Patch
 * Options"). A pair that is there is taken as it is, and one that is mapped no more is taken away.
 */
import { Bridge, Interface, insert, mutate, named, type Operation, Port, type Replica, update } from "@selvage/ovsdb";
import { type BridgePlan, bridgeRow, Interfaces, PortsOfBridges } from "./bridge.ts";

/** Bridges by the names of the physical networks that they lead to. */
export type BridgeMappings = ReadonlyMap<string, string>;

/** Reads `public:br-public,dc2:br-dc2`. Throws TypeError on what is no list of such pairs, and on a network or a bridge that is named twice. */
export function bridgeMappings(text: string): BridgeMappings {
  const mappings = new Map<string, string>();
  for (const pair of text.split(",").map((each) => each.trim())) {
    if (pair === "") continue;
    const [, name, bridge] = /^([\w.-]+):([\w.-]+)$/.exec(pair) ?? [];
    if (name === undefined || bridge === undefined)
      throw new TypeError(`bridge mappings: '${pair}' is not NETWORK:BRIDGE`);
    if (mappings.has(name)) throw new TypeError(`bridge mappings: ${name} is named twice`);
    if ([...mappings.values()].includes(bridge)) throw new TypeError(`bridge mappings: ${bridge} is named twice`);
    mappings.set(name, bridge);
  }
  return mappings;
}

/** What our interfaces of patches bear: the physical network, and the bridge of ours that they are for. */
const networkId = "selvage-physical";
const ownerId = "selvage-bridge";

/** One end of a pair, as it is or should be. */
interface End {
  readonly bridge: string;
  readonly name: string;
  readonly peer: string;
}

const endsOf = (own: string, network: string, bridge: string): readonly [End, End] => {
  const [here, there] = [`patch-${own}-${network}`, `patch-${network}-${own}`];
  return [
    { bridge: own, name: here, peer: there },
    { bridge, name: there, peer: here },
  ];
};

/** What leads to a physical network, or why nothing does; `being-made`: the switch has not taken it up yet. */
export type PhysicalWay =
  | { readonly kind: "way"; readonly network: string; readonly ofport: number; readonly name: string }
  | { readonly kind: "being-made"; readonly network: string }
  | { readonly kind: "problem"; readonly network: string; readonly problem: string };

/** Why there can be no pair of patch ports; undefined where there can. */
function obstacle(replica: Replica, { bridge }: BridgePlan, to: string): string | undefined {
  const own = bridgeRow(replica, bridge);
  const other = bridgeRow(replica, to);
  if (other === undefined) return `there is no bridge ${to}`;
  if (to === bridge) return `${to} is the bridge of the machines`;
  // The bridge of ours may only be about to be made, as it is planned.
  return own === undefined || kindOf(own.datapath_type) === kindOf(other.datapath_type)
    ? undefined
    : `the bridges ${bridge} and ${to} are of different kinds (datapath_type)`;
}

const kindOf = (type: string): string => (type === "" ? "system" : type);

/** The interface of an end, and whether it is a port of the bridge where it should be. */
function heldOf(replica: Replica, { bridge, name }: End) {
  const held = [...replica.table(Interfaces).values()].find((each) => each.name === name);
  if (held === undefined) return undefined;
  const ports = replica.table(PortsOfBridges);
  const port = [...ports.values()].find((each) => each.interfaces.has(held._uuid));
  const isThere = port !== undefined && bridgeRow(replica, bridge)?.ports.has(port._uuid) === true;
  return { held, port, isThere };
}

/** What must be written so that each physical network that can be reached is, and none that is not mapped; nothing where that is so. */
export function configurePhysical(replica: Replica, plan: BridgePlan): readonly Operation[] {
  const wanted = new Map<string, End & { readonly network: string }>();
  for (const [network, bridge] of plan.physical) {
    if (bridgeRow(replica, plan.bridge) === undefined || obstacle(replica, plan, bridge) !== undefined) continue;
    for (const end of endsOf(plan.bridge, network, bridge)) wanted.set(end.name, { ...end, network });
  }
  return [
    ...foreignEnds(replica, plan, wanted),
    ...[...wanted.values()].flatMap((end, at) => configureEnd(replica, plan, end, at)),
  ];
}

function configureEnd(
  replica: Replica,
  { bridge: own }: BridgePlan,
  { network, ...end }: End & { readonly network: string },
  at: number,
): readonly Operation[] {
  const { bridge, name, peer } = end;
  const into = bridgeRow(replica, bridge);
  if (into === undefined) return [];
  const found = heldOf(replica, end);
  if (found?.isThere) {
    const { type, options, _uuid } = found.held;
    const isRight = type === "patch" && options.get("peer") === peer && options.size === 1;
    return isRight ? [] : [update(Interface, [["_uuid", "==", _uuid]], { type: "patch", options: { peer } })];
  }
  const external_ids = { [networkId]: network, [ownerId]: own };
  return [
    insert(Interface, { name, type: "patch", options: { peer }, external_ids }, `patch_interface${at}`),
    insert(Port, { name, interfaces: [named(`patch_interface${at}`)] }, `patch_port${at}`),
    mutate(Bridge, [["_uuid", "==", into._uuid]], [["ports", "insert", [named(`patch_port${at}`)]]]),
  ];
}

/** Ends of ours that are nobody's any more, or stand in another bridge than they should. */
function foreignEnds(replica: Replica, { bridge: own }: BridgePlan, wanted: ReadonlyMap<string, End>) {
  const ports = replica.table(PortsOfBridges);
  return [...replica.table(Interfaces).values()].flatMap(({ _uuid, name, external_ids }): readonly Operation[] => {
    if (external_ids.get(ownerId) !== own || !external_ids.has(networkId)) return [];
    const end = wanted.get(name);
    const port = [...ports.values()].find((each) => each.interfaces.has(_uuid));
    if (port === undefined || (end !== undefined && heldOf(replica, end)?.isThere)) return [];
    return [mutate(Bridge, [["ports", "includes", [port._uuid]]], [["ports", "delete", [port._uuid]]])];
  });
}

/** The physical networks that are mapped: the interface that leads to each and works, or what an operator should know. */
export function physicalWays(replica: Replica, plan: BridgePlan): readonly PhysicalWay[] {
  return [...plan.physical].map(([network, bridge]): PhysicalWay => {
    const problem = (text: string): PhysicalWay => {
      return { kind: "problem", network, problem: `physical network ${network} is not there: ${text}` };
    };
    const reason = obstacle(replica, plan, bridge);
    if (reason !== undefined) return problem(reason);
    const [here, there] = endsOf(plan.bridge, network, bridge).map((end) => heldOf(replica, end));
    if (!here?.isThere || !there?.isThere) return { kind: "being-made", network };
    const { ofport, error, name } = here.held;
    if (ofport === null) return { kind: "being-made", network };
    return ofport > 0
      ? { kind: "way", network, ofport, name }
      : problem(`${name} does not work: ${error ?? "no reason given"}`);
  });
}
