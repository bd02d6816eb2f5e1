/** The switch's configuration (ovs-vswitchd.conf.db(5)): the bridge and the tunnels' interface as we need them, and which interfaces name a port. */
import {
  Bridge,
  type Change,
  Interface,
  insert,
  mutate,
  named,
  OPEN_VSWITCH,
  OpenVSwitch,
  type Operation,
  Port,
  pick,
  Replica,
  type Row,
  update,
} from "@selvage/ovsdb";
import { peerName, physicalName, serviceIngress } from "@selvage/pipeline";
import type { AttachedInterface } from "../datapath.ts";
import { SwitchConflict } from "./errors.ts";
import { type BridgeMappings, configurePhysical, physicalWays } from "./physical.ts";
import { type PluggedPort, Ports } from "./ports.ts";
import { timeoutTables } from "./zone-timeouts.ts";

/** What the driver wants of the switch. */
export interface BridgePlan {
  readonly bridge: string;
  /** `netdev` or `system`; counts only when the bridge is made. */
  readonly datapathType: string;
  /** Null on a host without tunnels. */
  readonly tunnel: { readonly name: string; readonly localIp: string } | null;
  /** Bridges that lead to physical networks, by the network. */
  readonly physical: BridgeMappings;
}

const Bridges = pick(Bridge, [
  ...(["name", "ports", "fail_mode", "protocols", "datapath_type", "other_config", "external_ids"] as const),
]);
export const PortsOfBridges = pick(Port, ["name", "interfaces"]);
export const Interfaces = pick(Interface, ["name", "type", "options", "external_ids", "ofport", "error"]);

/**
 * Whether changes of the database may be of interfaces: what is written down at a bridge (`external_ids`), as we do for each zone, and how long connections are
 * kept is not.
 */
export const mayConcernInterfaces = (changes: readonly Change[]): boolean =>
  changes.some((change) => {
    if (change.table !== Bridges.name || change.kind !== "modify") return watchedForInterfaces.has(change.table);
    const { old, row } = change;
    return Object.keys(Bridges.columns).some((column) => column !== "external_ids" && old[column] !== row[column]);
  });

const watchedForInterfaces: ReadonlySet<string> = new Set([Bridges.name, PortsOfBridges.name, Interfaces.name]);

const protocols = ["OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"];
const newest = "OpenFlow15";

/** What the driver watches. */
export const bridgeReplica = (): Replica =>
  new Replica(OPEN_VSWITCH, [Bridges, PortsOfBridges, Interfaces, ...timeoutTables]);

/** What must be written so that the switch is as planned; nothing where it is. Never makes again what is there. Throws SwitchConflict. */
export function configure(replica: Replica, plan: BridgePlan): readonly Operation[] {
  return [...configureBridge(replica, plan), ...configureTunnel(replica, plan), ...configurePhysical(replica, plan)];
}

function configureBridge(replica: Replica, { bridge, datapathType }: BridgePlan): readonly Operation[] {
  const held = bridgeRow(replica, bridge);
  if (held === undefined) {
    return [
      insert(Interface, { name: bridge, type: "internal" }, "local_interface"),
      insert(Port, { name: bridge, interfaces: [named("local_interface")] }, "local_port"),
      insert(
        Bridge,
        {
          name: bridge,
          datapath_type: datapathType,
          fail_mode: "secure",
          protocols,
          other_config: { "disable-in-band": "true" },
          ports: [named("local_port")],
        },
        "bridge",
      ),
      mutate(OpenVSwitch, [], [["bridges", "insert", [named("bridge")]]]),
    ];
  }
  const where = [["_uuid", "==", held._uuid]] as const;
  const operations: Operation[] = [];
  if (held.fail_mode !== "secure") operations.push(update(Bridge, where, { fail_mode: "secure" }));
  if (!held.protocols.has(newest)) operations.push(mutate(Bridge, where, [["protocols", "insert", protocols]]));
  if (held.other_config.get("disable-in-band") !== "true") {
    operations.push(
      mutate(Bridge, where, [["other_config", "delete", ["disable-in-band"]]]),
      mutate(Bridge, where, [["other_config", "insert", { "disable-in-band": "true" }]]),
    );
  }
  return operations;
}

/** Name of the interface of VXLAN tunnels that we make; one that is there already and does the same is taken as it is, whatever its name. */
const vxlanInterface = "selvage-vxlan";

/** What must be written so that packets can go by VXLAN; nothing where they can. Throws SwitchConflict. */
export function configureVxlan(replica: Replica, plan: BridgePlan): readonly Operation[] {
  if (plan.tunnel === null || vxlanIn(replica, plan) !== undefined) return [];
  return configureInterface(replica, plan.bridge, { ...plan.tunnel, name: vxlanInterface, type: "vxlan" });
}

/** An interface of the bridge by which every VXLAN packet to us comes: a second one would be refused by the switch. */
function vxlanIn(replica: Replica, { bridge, tunnel }: BridgePlan): Row<typeof Interfaces> | undefined {
  if (tunnel === null) return undefined;
  return interfacesOf(replica, bridge).find(
    ({ type, options }) =>
      type === "vxlan" &&
      options.get("key") === "flow" &&
      options.get("remote_ip") === "flow" &&
      [undefined, "4789"].includes(options.get("dst_port")) &&
      [undefined, tunnel.localIp].includes(options.get("local_ip")),
  );
}

/** What the tunnels bear on which this switch and another's watch each other: the other host's id. */
export const peerOwner = "selvage-peer";

/** Name of the interface by which the host's services are reached: the switch makes it, and who keeps the services takes it into their namespace. */
export const serviceInterface = "selvage-svc0";

/** What must be written so that packets can go to the host's services; nothing where they can. Throws SwitchConflict. */
export function configureService(replica: Replica, { bridge }: BridgePlan): readonly Operation[] {
  const held = [...replica.table(Interfaces).values()].find(({ name }) => name === serviceInterface);
  if (held !== undefined) {
    if (held.type === "internal" && interfacesOf(replica, bridge).includes(held)) return [];
    throw new SwitchConflict(
      `the interface ${serviceInterface} is not an internal one of ${bridge}: remove or rename it`,
    );
  }
  const into = bridgeRow(replica, bridge)?._uuid;
  const where = into === undefined ? ([["name", "==", bridge]] as const) : ([["_uuid", "==", into]] as const);
  return [
    insert(Interface, { name: serviceInterface, type: "internal" }, "service_interface"),
    insert(Port, { name: serviceInterface, interfaces: [named("service_interface")] }, "service_port"),
    mutate(Bridge, where, [["ports", "insert", [named("service_port")]]]),
  ];
}

function configureTunnel(replica: Replica, { bridge, tunnel }: BridgePlan): readonly Operation[] {
  return tunnel === null ? [] : configureInterface(replica, bridge, { ...tunnel, type: "geneve" });
}

interface TunnelPlan {
  readonly name: string;
  readonly localIp: string;
  readonly type: "geneve" | "vxlan";
}

function configureInterface(replica: Replica, bridge: string, tunnel: TunnelPlan): readonly Operation[] {
  const options = tunnelOptions(tunnel.localIp);
  const held = [...replica.table(Interfaces).values()].find(({ name }) => name === tunnel.name);
  if (held === undefined) {
    const into = bridgeRow(replica, bridge)?._uuid;
    const where = into === undefined ? ([["name", "==", bridge]] as const) : ([["_uuid", "==", into]] as const);
    return [
      insert(Interface, { name: tunnel.name, type: tunnel.type, options }, "tunnel_interface"),
      insert(Port, { name: tunnel.name, interfaces: [named("tunnel_interface")] }, "tunnel_port"),
      mutate(Bridge, where, [["ports", "insert", [named("tunnel_port")]]]),
    ];
  }
  if (held.type !== tunnel.type || !interfacesOf(replica, bridge).includes(held)) {
    const kind = { geneve: "Geneve", vxlan: "VXLAN" }[tunnel.type];
    throw new SwitchConflict(`the interface ${tunnel.name} is not a ${kind} tunnel of ${bridge}: remove or rename it`);
  }
  const same =
    held.options.size === Object.keys(options).length &&
    Object.entries(options).every(([name, value]) => held.options.get(name) === value);
  return same ? [] : [update(Interface, [["_uuid", "==", held._uuid]], { options })];
}

/** Key and remote address come with each packet; the outer checksum is left out where IPv4 allows it and demanded by IPv6 (RFC 6935). */
function tunnelOptions(localIp: string): Readonly<Record<string, string>> {
  const csum = localIp.includes(":") ? "true" : "false";
  return { csum, key: "flow", local_ip: localIp, remote_ip: "flow" };
}

/** Name of the switch's datapath, as its control socket knows it. Every bridge of one kind is of the same. */
export function datapathOf(replica: Replica, bridge: string): string {
  const kind = bridgeRow(replica, bridge)?.datapath_type;
  return kind === "netdev" ? "netdev@ovs-netdev" : "system@ovs-system";
}

/** Before the port in the names of what is written down at the bridge. */
const zonePrefix = "selvage-zone-";

/** Zones of connection tracking that are written down at the bridge, by the port. */
export function zonesIn(replica: Replica, bridge: string): Map<string, number> {
  const ids = bridgeRow(replica, bridge)?.external_ids ?? new Map<string, string>();
  return new Map(
    [...ids].flatMap(([name, value]) =>
      name.startsWith(zonePrefix) ? [[name.slice(zonePrefix.length), Number(value)] as const] : [],
    ),
  );
}

/** What must be written so that these zones stand at the bridge where those did; nothing where they are the same. */
export function recordZones(
  replica: Replica,
  bridge: string,
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): readonly Operation[] {
  const held = bridgeRow(replica, bridge);
  if (held === undefined) return [];
  const where = [["_uuid", "==", held._uuid]] as const;
  const gone = [...before].filter(([port, zone]) => after.get(port) !== zone).map(([port]) => `${zonePrefix}${port}`);
  const come = [...after].filter(([port, zone]) => before.get(port) !== zone);
  return [
    ...(gone.length === 0 ? [] : [mutate(Bridge, where, [["external_ids", "delete", gone]])]),
    ...(come.length === 0
      ? []
      : [
          mutate(Bridge, where, [
            [
              "external_ids",
              "insert",
              Object.fromEntries(come.map(([port, zone]) => [`${zonePrefix}${port}`, String(zone)])),
            ],
          ]),
        ]),
  ];
}

export const bridgeRow = (replica: Replica, name: string): Row<typeof Bridges> | undefined =>
  [...replica.table(Bridges).values()].find((row) => row.name === name);

function interfacesOf(replica: Replica, bridge: string): readonly Row<typeof Interfaces>[] {
  const ports = replica.table(PortsOfBridges);
  const interfaces = replica.table(Interfaces);
  return [...(bridgeRow(replica, bridge)?.ports ?? [])]
    .flatMap((uuid) => [...(ports.get(uuid)?.interfaces ?? [])])
    .flatMap((uuid) => interfaces.get(uuid) ?? []);
}

/** Who is plugged, and what an operator should know of those who are not. */
export interface Plugged {
  readonly ports: Ports;
  /** One sentence each. */
  readonly problems: readonly string[];
  /** Interfaces to physical networks, by the name that rows have for them. */
  readonly physical: readonly AttachedInterface[];
  /** Names of those that are mapped and cannot be had. */
  readonly unreachable: readonly string[];
}

/**
 * The interfaces of the bridge that name a port and work. Of two that name the same one the lower number counts. Ordered by port id, so that the
 * same interfaces give the same list.
 */
export function pluggedIn(replica: Replica, plan: BridgePlan): Plugged {
  const { bridge, tunnel } = plan;
  const best = new Map<string, PluggedPort>();
  const problems: string[] = [];
  let tunnelNumber: number | undefined;
  const ways = new Map<string, number>();
  const byNumber = [...interfacesOf(replica, bridge)].sort((a, b) => (a.ofport ?? 0) - (b.ofport ?? 0));
  for (const { name, external_ids, ofport, error } of byNumber) {
    const works = ofport !== null && ofport > 0;
    if (works && name === tunnel?.name) tunnelNumber = ofport;
    if (works && name === serviceInterface) ways.set(serviceIngress, ofport);
    const peer = external_ids.get(peerOwner);
    if (works && peer !== undefined) ways.set(peerName(peer), ofport);
    const port = external_ids.get("iface-id");
    if (port === undefined || port === "") continue;
    const other = best.get(port);
    if (!works) {
      if (ofport !== null)
        problems.push(`interface ${name} of port ${port} does not work: ${error ?? "no reason given"}`);
    } else if (other !== undefined) {
      problems.push(`interfaces ${other.name} and ${name} both name port ${port}: ${name} is ignored`);
    } else best.set(port, { port, name, ofport });
  }
  const plugged = [...best.values()].sort((a, b) => (a.port < b.port ? -1 : 1));
  const vxlan = vxlanIn(replica, plan)?.ofport ?? 0;
  const physical = physicalWays(replica, plan);
  for (const way of physical) {
    if (way.kind === "problem") problems.push(way.problem);
    if (way.kind === "way") ways.set(physicalName(way.network), way.ofport);
  }
  return {
    ports: new Ports(plugged, tunnelNumber, vxlan > 0 ? vxlan : undefined, new Map(), ways),
    problems,
    physical: physical.flatMap((way) =>
      way.kind === "way" ? [{ port: physicalName(way.network), name: way.name }] : [],
    ),
    unreachable: physical.flatMap((way) => (way.kind === "problem" ? [physicalName(way.network)] : [])),
  };
}
