/** Random histories with an outside: external networks, gateways, floating IPs, forwarded ports, leases and wires come and go beside what a history does, before and after what they name. */
import {
  Attachment,
  type Change,
  FloatingIp,
  Host,
  LearnedNeighbour,
  NatLease,
  NdpProxy,
  Network,
  networkKeyOf,
  PeerDown,
  Port,
  PortForwarding,
  Router,
  Segment,
  Subnet,
} from "@selvage/model";
import {
  makeExternalNetwork,
  makeFloatingIp,
  makeGateway,
  makeLearnedNeighbour,
  makeNatLease,
  makeNdpProxy,
  makeNetwork,
  makePeerDown,
  makePort,
  makePortForwarding,
  makeRouter,
  makeSegment,
  makeSubnet,
  put,
  remove,
  type Step,
  testId,
} from "@selvage/model/testing";
import { physicalName } from "@selvage/pipeline";
import fc from "fast-check";

/** What happens outside beside one step. */
interface Turn {
  readonly kind: number;
  readonly router: number;
  readonly pick: number;
  readonly value: number;
}

const turn: fc.Arbitrary<Turn> = fc.record({
  kind: fc.nat(23),
  router: fc.integer({ min: 1, max: 3 }),
  pick: fc.nat(0xffff),
  value: fc.nat(0xffff),
});

const wire = physicalName("public");
const otherWire = physicalName("second");
const externalId = testId("external network", 1);
const routerId = (n: number): string => testId("router", n);
const numbered = (kind: string, n: number): string => testId(kind, n);

const gatewayOf = (n: number): Port =>
  makeGateway({
    id: numbered("gateway", n),
    key: 0xe00000 + n,
    mac_address: `fa:16:3e:fe:00:0${n}`,
    gateway_of: routerId(n),
    fixed_ips: [
      { subnet_id: testId("external subnet", 1), ip_address: `203.0.113.${9 + n}` },
      { subnet_id: testId("external subnet", 2), ip_address: `2001:db8:ff::${9 + n}` },
    ],
  });

const externalSubnets: readonly Subnet[] = [
  makeSubnet({
    ...{ id: testId("external subnet", 1), network_id: externalId, cidr: "203.0.113.0/24", gateway_ip: "203.0.113.1" },
  }),
  makeSubnet({
    ...{ id: testId("external subnet", 2), network_id: externalId, ip_version: 6, cidr: "2001:db8:ff::/64" },
    gateway_ip: "2001:db8:ff::1",
  }),
];

const first = (port: Port, isSix: boolean): string | undefined =>
  port.fixed_ips.map(({ ip_address }) => ip_address).find((address) => address.includes(":") === isSix);

/** What stands for a port: each sort of thing once, so that no two claim one address. */
function standingFor({ kind, router, value }: Turn, port: Port, at: number): readonly Change[] {
  const four = first(port, false);
  const six = first(port, true);
  const floating = { id: numbered("floating ip", at), floating_ip_address: `203.0.113.${100 + (at % 100)}` };
  const [floating_network_id, router_id] = [externalId, routerId(router)];
  if (kind === 6 || four === undefined) {
    const whose = { id: numbered("ndp proxy", at), router_id, port_id: port.id };
    return six === undefined ? [] : [put(NdpProxy, makeNdpProxy({ ...whose, ip_address: six }))];
  }
  if (kind === 7) {
    const ports = { external_first: 8000 + value, external_last: 8000 + value + (at % 3), internal_first: 80 };
    const forwarding = {
      ...ports,
      internal_last: 80 + (at % 3),
      floatingip_id: floating.id,
      internal_port_id: port.id,
    };
    return [
      put(
        FloatingIp,
        makeFloatingIp({ ...floating, floating_network_id, router_id, port_id: null, fixed_ip_address: null }),
      ),
      put(
        PortForwarding,
        makePortForwarding({
          ...forwarding,
          ...{ id: numbered("forwarding", at), internal_ip_address: four, protocol: value % 2 === 0 ? "tcp" : "udp" },
        }),
      ),
    ];
  }
  const stands = { ...floating, floating_network_id, router_id, port_id: port.id, fixed_ip_address: four };
  return [put(FloatingIp, makeFloatingIp(stands))];
}

/** Of a port's place among those that were seen: which floating address, forwarding or proxy is its. */
const placeOf = (port: Port): number => Number.parseInt(port.id.slice(-6), 16) % 100;

function leaseOf({ router }: Turn, host: Host): NatLease {
  const at = { router_id: routerId(router), host_id: host.id, network_id: externalId };
  const block = 1_024 + 64 * (host.key % 500);
  return makeNatLease({
    ...{ ...at, id: numbered(`lease ${router}`, host.key), address: `203.0.113.${9 + router}` },
    ...{ first: block, size: 64 },
  });
}

/** Two places of a network, each on a wire of its own. */
const segmentOf = (n: number, network_id: string): Segment =>
  makeSegment({
    ...{ id: numbered("segment", n), network_id, physical_network: n === 1 ? "public" : "second" },
    ...{ segmentation_id: 300 + n, position: n },
  });

const wiredId = testId("wired network", 1);

/** A router's interface on a VLAN; the first one's is the gateway of those that stand there. */
const wiredInterface = (n: number): Port =>
  makePort({
    ...{ id: numbered("wired interface", n), key: 0xd00000 + n, mac_address: `fa:16:3e:fd:00:0${n}` },
    ...{ network_id: wiredId, router_id: routerId(n) },
    fixed_ips: [{ subnet_id: testId("wired subnet", 1), ip_address: `10.99.0.${n}` }],
  });

function onWire(n: number): readonly Change[] {
  const on = { "provider:network_type": "vlan", "provider:physical_network": "public", "provider:segmentation_id": 99 };
  const subnet = { network_id: wiredId, cidr: "10.99.0.0/24", gateway_ip: "10.99.0.1" };
  return [
    put(Network, makeNetwork({ id: wiredId, ...on, key: 0xf00050 })),
    put(Subnet, makeSubnet({ id: testId("wired subnet", 1), ...subnet })),
    put(Port, wiredInterface(n)),
  ];
}

function changesOf(now: Turn, ports: readonly Port[], hosts: readonly Host[]): readonly Change[] {
  const { kind, router, pick, value } = now;
  const port = ports[pick % Math.max(1, ports.length)];
  const host = hosts[pick % Math.max(1, hosts.length)];
  switch (kind) {
    case 0:
      return [value % 5 === 0 ? remove(Attachment, wire) : put(Attachment, { id: wire })];
    case 1:
      return [
        put(Network, makeExternalNetwork({ mtu: value % 2 === 0 ? 1500 : 1400 })),
        ...externalSubnets.map((subnet) => put(Subnet, subnet)),
      ];
    case 2:
      return value % 4 === 0 ? [remove(Network, externalId)] : [];
    case 3:
      return [remove(Port, numbered("gateway", router))];
    case 4:
      return [put(Router, makeRouter({ id: routerId(router), key: router, enable_snat: value % 3 !== 0 }))];
    case 5:
      return port === undefined
        ? []
        : [FloatingIp, PortForwarding, NdpProxy].map((each, n) =>
            remove(each, numbered(["floating ip", "forwarding", "ndp proxy"][n] ?? "", placeOf(port))),
          );
    case 6:
    case 7:
    case 8:
    case 9:
      return port === undefined || port.router_id !== null ? [] : standingFor(now, port, placeOf(port));
    case 10:
      return host === undefined ? [] : [remove(NatLease, leaseOf(now, host).id)];
    case 11:
      return [
        value % 3 === 0
          ? remove(LearnedNeighbour, makeLearnedNeighbour().id)
          : put(LearnedNeighbour, makeLearnedNeighbour()),
      ];
    case 12:
      return host === undefined
        ? []
        : [value % 2 === 0 ? put(PeerDown, makePeerDown({ id: host.id })) : remove(PeerDown, host.id)];
    case 20:
      return [value % 3 === 0 ? remove(Attachment, otherWire) : put(Attachment, { id: otherWire })];
    case 21:
    case 22: {
      const segment = segmentOf(kind - 20, kind === 21 ? externalId : (ports[0]?.network_id ?? externalId));
      return [value % 4 === 0 ? remove(Segment, segment.id) : put(Segment, segment)];
    }
    case 23:
      return externalSubnets.map((subnet, at) =>
        put(Subnet, {
          ...subnet,
          segment_id: value % 3 === 0 ? null : segmentOf(1 + ((value + at) % 2), externalId).id,
        }),
      );
    case 16:
      return value % 4 === 0 ? [remove(Port, wiredInterface(router).id)] : onWire(router);
    case 13:
    case 14:
    case 15:
      return host === undefined ? [] : [put(NatLease, leaseOf(now, host))];
    default:
      return [put(Router, makeRouter({ id: routerId(router), key: router })), put(Port, gatewayOf(router))];
  }
}

const wires: readonly (readonly string[])[] = [[], ["public"], ["public", "second"], ["second"], ["public"]];

/** Some hosts with the wire, and some networks that stand on it. */
function wired(change: Change, value: number): Change {
  // A change of a kind bears an object of it.
  if (change.object !== null && change.kind === Host.kind)
    return put(Host, { ...(change.object as Host), physical_networks: wires[value % wires.length] ?? [] });
  if (change.object === null || change.kind !== Network.kind) return change;
  const network = change.object as Network;
  const key = networkKeyOf(network);
  if (key % 5 !== 0) return change;
  const on = { "provider:network_type": "vlan", "provider:physical_network": "public" };
  return put(Network, { ...network, ...on, "provider:segmentation_id": 100 + key, key: 0xf00100 + key });
}

/** A history, with what happens outside between its steps. */
export const withOutside = (history: fc.Arbitrary<readonly Step[]>): fc.Arbitrary<readonly Step[]> =>
  fc.tuple(history, fc.array(turn, { minLength: 8, maxLength: 80, size: "max" })).map(([steps, turns]) => {
    const ports = new Map<string, Port>();
    const hosts = new Map<string, Host>();
    return steps.flatMap(({ name, changes }, at): readonly Step[] => {
      const now = turns[at % turns.length];
      if (now === undefined) return [{ name, changes }];
      const seen = changes.map((change) => wired(change, now.value));
      for (const { kind, id, object } of seen) {
        if (kind === Port.kind) {
          if (object === null) ports.delete(id);
          else ports.set(id, object as Port);
        } else if (kind === Host.kind) {
          if (object === null) hosts.delete(id);
          else hosts.set(id, object as Host);
        }
      }
      const more = changesOf(now, [...ports.values()], [...hosts.values()]);
      return [{ name, changes: seen }, ...(more.length === 0 ? [] : [{ name: `outside ${at}`, changes: more }])];
    });
  });
