/** One host as a trace needs it: an engine over the part of its intent that the packet can meet, and a simulated switch that holds the rows. */
import { hostEngine, hostOfMac } from "@selvage/compiler";
import { SimulatedDatapath } from "@selvage/datapath";
import {
  type AnyResource,
  Attachment,
  type Change,
  type Engine,
  FloatingIp,
  HeldAddress,
  Host,
  ipOf,
  isLinkLocalIp,
  keyOf,
  LearnedNeighbour,
  linkLocalOf,
  macOf,
  neighbourId,
  Port,
  PortForwarding,
  type Revision,
  Router,
  type StoredObject,
  Subnet,
  textOfIp,
  type View,
} from "@selvage/model";
import { physicalName, type Row } from "@selvage/pipeline";
import { isLocal, project, projectedResources } from "@selvage/sync";

/** All intent, and what of it each host is told. */
export interface Intent {
  readonly view: View & { readonly revision: Revision };
  /** Kind and id of every object that a host is told of. */
  readonly needOf: (hostId: string) => Iterable<{ readonly kind: string; readonly id: string }>;
}

export interface TracedHost {
  readonly host: Host;
  readonly engine: Pick<Engine<Row>, "origins" | "rows" | "view">;
  readonly datapath: Pick<SimulatedDatapath, "receive">;
  /** Takes it as known who has an address on a network's wire. */
  readonly learn: (neighbour: Omit<LearnedNeighbour, "id">) => Promise<void>;
}

const byKind: ReadonlyMap<string, AnyResource> = new Map(projectedResources.map((each) => [each.kind, each]));

/** Objects of intent with what they are. */
export type Part = readonly (readonly [AnyResource, StoredObject])[];

/** Objects that are looked at between two pauses. */
const slice = 5_000;

/** What a packet may meet: by these addresses and ports, other ports are known to it. */
export interface Meeting {
  readonly addresses: ReadonlySet<string>;
  readonly ports: ReadonlySet<string>;
}

/**
 * Of what a host is told the part that can matter to a packet. Of ports, which are nearly all of it, these: the packet's ends, whoever has an address that it may
 * pass or that an address outside stands for, routers' interfaces and gateways, whoever may speak for others, and of each network and each set of groups one on each host, for what matters of the rest is only
 * that there is one. A test holds that a packet meets the same rows among all of it. It yields now and then: what it gives is of one revision only if none came
 * meanwhile.
 */
export function* partThatMatters(
  { view, needOf }: Intent,
  host: Pick<Host, "id">,
  meeting: Meeting,
): Generator<void, Part> {
  const kept: (readonly [AnyResource, StoredObject])[] = [];
  const ports: Port[] = [];
  const addresses = new Set(meeting.addresses);
  const stoodFor = new Set<string>();
  let looked = 0;
  for (const { kind, id } of needOf(host.id)) {
    looked += 1;
    if (looked % slice === 0) yield;
    const resource = byKind.get(kind);
    const object = resource === undefined ? undefined : view.get(resource, id);
    if (resource === undefined || object === undefined) continue;
    if (kind === Port.kind) {
      ports.push(object as Port);
      continue;
    }
    kept.push([resource, object]);
    if (kind === Router.kind) for (const { nexthop } of (object as Router).routes) addresses.add(nexthop);
    if (kind === Subnet.kind) {
      const { gateway_ip, host_routes } = object as Subnet;
      if (gateway_ip !== null) addresses.add(gateway_ip);
      for (const { nexthop } of host_routes) addresses.add(nexthop);
    }
    if (kind === FloatingIp.kind && addresses.has((object as FloatingIp).floating_ip_address))
      stoodFor.add((object as FloatingIp).port_id ?? "");
    if (kind === PortForwarding.kind) {
      const { floatingip_id, internal_port_id } = object as PortForwarding;
      if (addresses.has(view.get(FloatingIp, floatingip_id)?.floating_ip_address ?? "")) stoodFor.add(internal_port_id);
    }
  }
  const pairMacs = new Set(ports.flatMap((port) => port.allowed_address_pairs.map((pair) => pair.mac_address)));
  const linkLocals = new Set([...addresses].filter((address) => isLinkLocalIp(ipOf(address))));
  const seen = new Set<string>();
  const isFirst = (key: string): boolean => !seen.has(key) && seen.add(key) !== undefined;
  for (const port of ports) {
    looked += 1;
    if (looked % slice === 0) yield;
    const where = port["binding:host_id"];
    // Both are asked: a port may be the first of its network, and of its set.
    const firsts = [
      isFirst(keyOf("network", port.network_id, where)),
      isFirst(keyOf("set", port.security_group_set, where)),
    ];
    const isMet =
      firsts.includes(true) ||
      port.router_id !== null ||
      port.gateway_of !== null ||
      port.allowed_address_pairs.length > 0 ||
      !port.port_security_enabled ||
      pairMacs.has(port.mac_address) ||
      meeting.ports.has(port.id) ||
      stoodFor.has(port.id) ||
      port.fixed_ips.some(({ ip_address }) => addresses.has(ip_address)) ||
      (linkLocals.size > 0 && linkLocals.has(textOfIp(linkLocalOf(macOf(port.mac_address)))));
    if (isMet) kept.push([Port, port]);
  }
  return kept;
}

/** How often it is begun anew for a revision that came meanwhile, before it is done without a pause. */
const mostTries = 3;

/** The same with pauses, of one revision. */
export async function partInTurns(
  intent: Intent,
  host: Pick<Host, "id">,
  meeting: Meeting,
  turn: () => Promise<void>,
): Promise<Part> {
  for (let tries = 0; tries < mostTries; tries += 1) {
    const { revision } = intent.view;
    const work = partThatMatters(intent, host, meeting);
    let step = work.next();
    while (step.done !== true && intent.view.revision === revision) {
      await turn();
      step = work.next();
    }
    if (step.done === true && intent.view.revision === revision) return step.value;
  }
  return atOnce(partThatMatters(intent, host, meeting));
}

/** What work gives that is done without a pause. */
export function atOnce<T>(work: Generator<void, T>): T {
  let step = work.next();
  while (step.done !== true) step = work.next();
  return step.value;
}

/** Everything that a host is told of. */
export function everything({ view, needOf }: Intent, host: Pick<Host, "id">): Part {
  return [...needOf(host.id)].flatMap(({ kind, id }) => {
    const resource = byKind.get(kind);
    const object = resource === undefined ? undefined : view.get(resource, id);
    return resource === undefined || object === undefined ? [] : [[resource, object] as const];
  });
}

/** A machine is taken to have each address that moves and that it may have: whether it does, its host's agent alone knows. */
const heldBy = (port: Port): readonly Change[] =>
  port.allowed_address_pairs.map(({ ip_address: address, mac_address: mac }) => {
    const id = neighbourId(port.network_id, address);
    const held: HeldAddress = { id, network_id: port.network_id, address, port_id: port.id, mac };
    return { kind: HeldAddress.kind, id, object: held };
  });

/** Compiles for a host, with every port that is bound to it plugged in and all its wires there, and puts the rows into a switch of its own. */
export async function buildHost(host: Host, objects: Part, revision: Revision): Promise<TracedHost> {
  const engine = hostEngine({ name: host.name });
  const changes: Change[] = [];
  for (const [{ kind }, object] of objects) {
    const distance = isLocal(kind, object, host.name) ? "near" : "far";
    changes.push({ kind, id: object.id, object: project(kind, object, distance) });
    if (kind === Port.kind && distance === "near") {
      changes.push({ kind: Attachment.kind, id: object.id, object: { id: object.id } });
      changes.push(...heldBy(object as Port));
    }
  }
  for (const id of host.physical_networks.map(physicalName))
    changes.push({ kind: Attachment.kind, id, object: { id } });
  const { added } = engine.apply(changes, revision);
  const datapath = new SimulatedDatapath();
  await datapath.apply({ added, removed: [], modified: [] });
  const learn = async (neighbour: Omit<LearnedNeighbour, "id">): Promise<void> => {
    const id = neighbourId(neighbour.network_id, neighbour.address);
    const change: Change = { kind: LearnedNeighbour.kind, id, object: { id, ...neighbour } };
    await datapath.apply(engine.apply([change], revision));
  };
  return { host, engine, datapath, learn };
}

/** The hosts that a packet has met so far, each built when it is met first. */
export class MetHosts {
  readonly #view: View;
  readonly #build: (host: Host) => Promise<TracedHost>;
  readonly #built = new Map<string, Promise<TracedHost>>();

  constructor(view: View, build: (host: Host) => Promise<TracedHost>) {
    this.#view = view;
    this.#build = build;
  }

  /** The host of this name; undefined: there is none. */
  async named(name: string): Promise<TracedHost | undefined> {
    return this.#take(this.#view.by(Host.index.name, name)[0]);
  }

  /** The host whose tunnels end at an address. */
  async at(tunnelIp: string): Promise<TracedHost | undefined> {
    return this.#take(this.#view.by(Host.index.tunnelIp, tunnelIp)[0]);
  }

  /** The host that speaks with a MAC on wires. */
  async withMac(mac: string): Promise<TracedHost | undefined> {
    return this.#take(hostOfMac(this.#view, mac));
  }

  /** This very host. */
  async of(host: Host): Promise<TracedHost | undefined> {
    return this.#take(host);
  }

  /** Their ids. */
  get hosts(): readonly string[] {
    return [...this.#built.keys()];
  }

  #take(host: Host | undefined): Promise<TracedHost> | undefined {
    if (host === undefined) return undefined;
    const held = this.#built.get(host.id) ?? this.#build(host);
    this.#built.set(host.id, held);
    return held;
  }
}
