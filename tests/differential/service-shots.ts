/** What programs of a host answer its machines as the host's services, and what else comes from where they are. */
import { arpRequest, ping, tcp, udpBetween } from "@selvage/datapath/testing";
import { machinesMac, serviceAddress, serviceAddresses, serviceIngress, serviceMac } from "@selvage/pipeline";
import fc from "fast-check";
import { type Damage, damaged, damages } from "./damage.ts";
import { usually } from "./draw.ts";
import { hostCount, type Interface, serviceWire, type Topology } from "./topology.ts";

export interface ServiceShot {
  readonly enters: "service";
  readonly kind: "udp" | "tcp" | "pong" | "arp";
  readonly version: 4 | 6;
  readonly from: keyof typeof serviceAddresses;
  /** Whose number it is for: a port's, by its place, and the place of its address. */
  readonly to: number;
  readonly at: 0 | 1 | 99;
  /** Whether it comes from the host of the machine. */
  readonly isRight: boolean;
  readonly host: number;
  readonly towards: "usual" | "broadcast";
  readonly damage: readonly Damage[];
}

export const serviceShots: fc.Arbitrary<ServiceShot> = fc.record({
  enters: fc.constant("service" as const),
  kind: usually<ServiceShot["kind"]>("udp", "tcp", "pong", "arp"),
  version: fc.constantFrom<4 | 6>(4, 6),
  from: fc.constantFrom<ServiceShot["from"][]>("metadata", "resolver"),
  to: fc.nat(9),
  at: usually<ServiceShot["at"]>(0, 1, 99),
  isRight: usually(true, false),
  host: fc.nat(hostCount - 1),
  towards: usually<ServiceShot["towards"]>("usual", "broadcast"),
  damage: fc.oneof(
    { weight: 6, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(damages, { maxLength: 2 }) },
  ),
});

/** The frame of a shot, and the interface by which it comes. */
export function fromService(shot: ServiceShot, { ports, interfaces }: Topology) {
  const { version } = shot;
  const port = ports[shot.to % Math.max(1, ports.length)];
  const home = interfaces.find((each) => each.isBound && each.names === port?.id)?.host;
  const at: Interface = {
    ...{ host: shot.isRight && home !== undefined ? home : shot.host, wire: serviceWire },
    ...{ names: null, ingress: serviceIngress, isBound: false },
  };
  const [ip4, ip6] = ([4, 6] as const).map((each) => serviceAddress(port?.key ?? 0, shot.at, each) ?? "");
  const service = { mac: serviceMac, ip4: serviceAddresses[shot.from][4], ip6: serviceAddresses[shot.from][6] };
  const mac = shot.towards === "usual" ? machinesMac : "ff:ff:ff:ff:ff:ff";
  const to = { mac, ip4: ip4 ?? "", ip6: ip6 ?? "" };
  const between = { src: 80, dst: 40_000 };
  const frame = {
    udp: () => udpBetween(version, service, to, between),
    tcp: () => tcp(version, service, to, { ...between, flags: 0x12 }),
    pong: () => ping(version, "reply", service, to, { id: 7 }),
    arp: () => arpRequest(service, to.ip4),
  }[shot.kind]();
  return { interface: at, frame: shot.damage.reduce(damaged, frame) };
}
