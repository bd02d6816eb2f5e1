/** Small apps for the engine's own tests: each leans on one thing that the engine must get right. */
import { type Derivation, derive, deriveKey, type EngineRow, type Query, query } from "../derivation.ts";
import { keyOf } from "../resource.ts";
import { Attachment } from "../resources/facts.ts";
import { Host } from "../resources/host.ts";
import { Network } from "../resources/network.ts";
import { Port } from "../resources/port.ts";
import { Subnet } from "../resources/subnet.ts";

/** The host on which these apps think that they run. */
export const here = "h1-1";

export const toyRow = (table: string, key: string | number, body: unknown): EngineRow => ({
  id: `${table} ${key}`,
  body: JSON.stringify(body ?? null),
});

export const networkKey: Query<number | undefined> = query(
  "network.key",
  (view, id) => view.get(Network, id)?.["provider:segmentation_id"] ?? undefined,
);

export const hostTunnel: Query<string | undefined> = query("host.tunnel", (view, name) => {
  const tunnel = view.by(Host.index.name, name)[0]?.tunnel_ip;
  return tunnel ?? undefined;
});

export const networkHere: Query<boolean> = query("network.here", (view, id) =>
  view.exists(Port.index.networkHost, keyOf(id, here)),
);

/** A diamond: both sides come from one MTU, and whoever sees them apart sees a half-made change. */
const upper: Query<number> = query("mtu.upper", (view, id) => Math.floor((view.get(Network, id)?.mtu ?? 0) / 10));
const lower: Query<number> = query("mtu.lower", (view, id) => (view.get(Network, id)?.mtu ?? 0) % 10);
const whole: Query<number> = query("mtu.whole", (view, id) => view.ask(upper, id) * 10 + view.ask(lower, id));

/** Ask each other in a circle when the MTU is a multiple of six. */
const ping: Query<string> = query("ping", (view, id) =>
  (view.get(Network, id)?.mtu ?? 1) % 3 === 0 ? `ping ${view.ask(pong, id)}` : "ping",
);
const pong: Query<string> = query("pong", (view, id) =>
  (view.get(Network, id)?.mtu ?? 1) % 2 === 0 ? `pong ${view.ask(ping, id)}` : "pong",
);

export const unicast = derive("unicast", Port, (port, view) => {
  const key = view.ask(networkKey, port.network_id);
  return key === undefined ? [] : [toyRow("unicast", keyOf(key, port.mac_address), port.key)];
});

export const toyDerivations: readonly Derivation<EngineRow>[] = [
  unicast,
  derive("location", Port, (port, view) => {
    const tunnel = view.ask(hostTunnel, port["binding:host_id"]);
    return tunnel === undefined ? [] : [toyRow("location", port.key, tunnel)];
  }),
  derive("gated", Port, function* (port, view) {
    if (!view.ask(networkHere, port.network_id)) return;
    for (const { ip_address } of port.fixed_ips)
      yield toyRow("neighbour", keyOf(port.network_id, ip_address), port.mac_address);
  }),
  derive("shared", Port, (port, view) => [
    toyRow("present", port.network_id, view.has(Network, port.network_id) ? "known" : "unknown"),
  ]),
  derive("bound", Port, (port, view) => (view.has(Attachment, port.id) ? [toyRow("bound", port.id, port.key)] : [])),
  derive("fragile", Port, function* (port, view) {
    yield toyRow("partial", port.id, 1);
    const mtu = view.get(Network, port.network_id)?.mtu ?? 0;
    if (mtu % 7 === 0) throw new Error(`an MTU of ${mtu} is more than this app can bear`);
    yield toyRow("fragile", port.id, mtu);
  }),
  derive("disagreeing", Port, (port) => [
    toyRow("own", port.id, port.admin_state_up),
    toyRow("own", port.id, port.port_security_enabled),
  ]),
  derive("summed", Port, (port, view) => {
    const sum = view.ask(whole, port.network_id);
    const mtu = view.get(Network, port.network_id)?.mtu ?? 0;
    return [toyRow("summed", port.id, sum === mtu ? sum : `glitch: ${sum} is not ${mtu}`)];
  }),
  derive("circling", Network, (network, view) => [
    toyRow("circling", network.id, [view.ask(network.mtu % 4 === 0 ? ping : pong, network.id)]),
  ]),
  derive("gateway", Subnet, (subnet, view) => {
    const first = view.by(Port.index.subnet, subnet.id)[0];
    return [toyRow("gateway", keyOf(subnet.network_id, subnet.ip_version), first?.mac_address ?? subnet.gateway_ip)];
  }),
  deriveKey("replicate", Port.index.networkHost, (key, view) => {
    const [network = "", host = ""] = key.split("|");
    const tunnel = view.ask(hostTunnel, host);
    const number = view.ask(networkKey, network);
    return tunnel === undefined || number === undefined ? [] : [toyRow("replicate", keyOf(number, host), tunnel)];
  }),
  deriveKey("counted", Port.index.network_id, (network, view) => [
    toyRow("counted", network, view.count(Port.index.network_id, network)),
  ]),
  deriveKey("first", Port.index.network_id, (network, view) => [
    toyRow("first", network, view.by(Port.index.network_id, network)[0]?.mac_address),
  ]),
];
