/** What of the outside each host is told: where its own machines go out by, what stands for them, what it sends on for others, and nothing else; and what a change costs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Change,
  FloatingIp,
  Host,
  NatLease,
  Network,
  networkKeys,
  Port,
  PortForwarding,
  Router,
  Subnet,
} from "@selvage/model";
import {
  makeExternalNetwork,
  makeFloatingIp,
  makeGateway,
  makeHost,
  makeNatLease,
  makeNetwork,
  makePort,
  makePortForwarding,
  makeRouter,
  makeSubnet,
  put,
} from "@selvage/model/testing";
import { project } from "@selvage/sync";
import { objectKey, Scopes } from "./scopes.ts";

/** h1 and h2 have the wire, h3 has not. Red's machine is on h1, blue's on h2, green's on h3; each is behind a router of its own. */
const names = ["red", "blue", "green"] as const;
const intent: readonly Change[] = [
  ...["h1", "h2", "h3"].map((id, at) =>
    put(Host, makeHost({ id, name: id, key: at + 1, tunnel_ip: null, physical_networks: at < 2 ? ["public"] : [] })),
  ),
  put(Network, makeExternalNetwork({ id: "public" })),
  put(Subnet, makeSubnet({ id: "public-4", network_id: "public", cidr: "203.0.113.0/24" })),
  ...names.flatMap((name, at) => {
    const host = `h${at + 1}`;
    const stands = { router_id: name, port_id: `${name}-port`, floating_network_id: "public" };
    return [
      put(Network, makeNetwork({ id: name, "provider:segmentation_id": networkKeys.first + at })),
      put(Subnet, makeSubnet({ id: `${name}-4`, network_id: name })),
      put(Subnet, makeSubnet({ id: `${name}-6`, network_id: name, ip_version: 6, cidr: `2001:db8:${at}::/64` })),
      put(Router, makeRouter({ id: name, key: at + 1 })),
      put(
        Port,
        makePort({
          ...{ id: `${name}-if`, network_id: name, router_id: name, mac_address: `fa:16:3e:01:00:0${at}` },
          fixed_ips: [{ subnet_id: `${name}-6`, ip_address: `2001:db8:${at}::1` }],
          key: 100 + at,
        }),
      ),
      put(
        Port,
        makeGateway({
          ...{ id: `${name}-gateway`, network_id: "public", gateway_of: name, mac_address: `fa:16:3e:02:00:0${at}` },
          fixed_ips: [{ subnet_id: "public-4", ip_address: `203.0.113.${10 + at}` }],
          key: 200 + at,
        }),
      ),
      put(
        Port,
        makePort({
          ...{ id: `${name}-port`, network_id: name, "binding:host_id": host, mac_address: `fa:16:3e:03:00:0${at}` },
          fixed_ips: [{ subnet_id: `${name}-4`, ip_address: "10.0.0.11" }],
          key: 300 + at,
        }),
      ),
      put(
        FloatingIp,
        makeFloatingIp({ ...stands, id: `${name}-floating`, floating_ip_address: `203.0.113.${20 + at}` }),
      ),
      put(
        FloatingIp,
        makeFloatingIp({
          ...{ ...stands, id: `${name}-shared`, floating_ip_address: `203.0.113.${30 + at}` },
          ...{ port_id: null, fixed_ip_address: null },
        }),
      ),
      put(
        PortForwarding,
        makePortForwarding({
          ...{ id: `${name}-forwarding`, floatingip_id: `${name}-shared`, internal_port_id: `${name}-port` },
        }),
      ),
      put(
        NatLease,
        makeNatLease({
          ...{ id: `${name}-lease`, router_id: name, host_id: host, network_id: "public" },
          address: `203.0.113.${10 + at}`,
        }),
      ),
    ];
  }),
];

function scopesOf(changes: readonly Change[]): Scopes {
  const scopes = new Scopes();
  scopes.apply(changes, 1, () => undefined);
  return scopes;
}

const told = (scopes: Scopes, host: string, kind: { readonly kind: string }): readonly string[] =>
  [...scopes.needOf(host)]
    .filter((key) => key.startsWith(`${kind.kind}|`))
    .map((key) => key.slice(kind.kind.length + 1))
    .sort();

test("a host behind a router is told of its gateway, the outside, and what stands for its own machines", () => {
  const scopes = scopesOf(intent);
  assert.deepEqual(told(scopes, "h3", Network), ["green", "public"]);
  assert.deepEqual(told(scopes, "h3", Subnet), ["green-4", "green-6", "public-4"]);
  assert.deepEqual(told(scopes, "h3", Port), ["green-gateway", "green-if", "green-port"]);
  assert.deepEqual(told(scopes, "h3", FloatingIp), ["green-floating", "green-shared"]);
  assert.deepEqual(told(scopes, "h3", PortForwarding), ["green-forwarding"]);
  assert.deepEqual(told(scopes, "h3", NatLease), ["green-lease"]);
  assert.deepEqual(told(scopes, "h3", Router), ["green"]);
});

test("a host with the wire is told besides what it sends on for others, and not what is translated on theirs", () => {
  const scopes = scopesOf(intent);
  const all = (suffix: string) => names.map((name) => `${name}-${suffix}`).sort();
  assert.deepEqual(told(scopes, "h1", NatLease), all("lease"));
  assert.deepEqual(told(scopes, "h1", PortForwarding), all("forwarding"));
  assert.deepEqual(told(scopes, "h1", FloatingIp), [...all("shared"), "red-floating"].sort());
  assert.deepEqual(told(scopes, "h1", Host), ["h1", "h2", "h3"]);
  // A router whose ports are forwarded is known for that alone, too: what is announced depends on whether it is up.
  const closed = intent.filter(({ id }) => !id.endsWith("-6"));
  assert.deepEqual(told(scopesOf(closed), "h1", Router), [...names].sort());
  // Of others' networks no more than the prefixes that may be reached; of machines those whose ports are forwarded.
  assert.deepEqual(told(scopes, "h1", Network), ["public", "red"]);
  assert.deepEqual(told(scopes, "h1", Subnet), ["blue-6", "green-6", "public-4", "red-4", "red-6"]);
});

test("where a router holds no ports of an address for its hosts, one machine of each says that they have some", () => {
  const open = makeRouter({ id: "green", key: 3, enable_snat: false });
  const more = makePort({
    ...{ id: "green-second", network_id: "green", "binding:host_id": "h3", mac_address: "fa:16:3e:04:00:00", key: 400 },
    fixed_ips: [{ subnet_id: "green-4", ip_address: "10.0.0.12" }],
  });
  const machines = (changes: readonly Change[]) =>
    told(scopesOf(changes), "h1", Port).filter((id) => id === "green-port" || id === "green-second");
  const without = intent.filter(({ id }) => !id.startsWith("green-forwarding"));
  assert.deepEqual(machines([...without, put(Port, more)]), [], "leases say so");
  assert.equal(machines([...without, put(Port, more), put(Router, open)]).length, 1);
  assert.ok(told(scopesOf([...without, put(Router, open)]), "h1", Host).includes("h3"));
});

test("an address that comes to stand for a machine is said to its host alone, however many there are", () => {
  for (const many of [1, 5_000]) {
    const others = Array.from({ length: many }, (_, at) =>
      put(
        FloatingIp,
        makeFloatingIp({
          ...{ id: `other-${at}`, floating_network_id: "public", router_id: "blue", port_id: "blue-port" },
          ...{ floating_ip_address: `198.18.${at >> 8}.${at & 255}`, fixed_ip_address: `10.1.${at >> 8}.${at & 255}` },
        }),
      ),
    );
    const scopes = scopesOf([...intent, ...others]);
    const before = scopes.counters;
    const touched = new Set<string>();
    const stands = { id: "new", floating_network_id: "public", router_id: "red", port_id: "red-port" };
    const come = put(
      FloatingIp,
      makeFloatingIp({ ...stands, floating_ip_address: "203.0.113.200", fixed_ip_address: "10.0.0.12" }),
    );
    scopes.apply([come], 2, (host, key) => touched.add(`${host} ${key}`));
    assert.deepEqual([...touched], [`h1 ${objectKey(FloatingIp.kind, "new")}`]);
    assert.equal(scopes.counters.unitsRun - before.unitsRun, 1);
  }
});

test("who may have to answer for a router's address is told in which zones it is to be, and of nobody's router that may be anywhere", () => {
  // No prefix of any of them may be reached, and no port is forwarded: nothing else tells of routers.
  const closed = intent.filter(({ id }) => !id.endsWith("-6") && !id.endsWith("-forwarding"));
  const hinted = makeRouter({ id: "green", key: 3, availability_zone_hints: ["east"] });
  assert.deepEqual(told(scopesOf(closed), "h1", Router), ["red"]);
  assert.deepEqual(told(scopesOf([...closed, put(Router, hinted)]), "h1", Router), ["green", "red"]);
  assert.deepEqual(project(Router.kind, hinted, "far"), {
    ...{ id: "green", key: 3, admin_state_up: true, routes: [], enable_snat: true, enable_ndp_proxy: false },
    availability_zone_hints: ["east"],
  });
  const host = makeHost({ id: "h1", name: "h1", key: 1, availability_zone: "east" });
  assert.equal((project(Host.kind, host, "far") as Host).availability_zone, "east");
});
