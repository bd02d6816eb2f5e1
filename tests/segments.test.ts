/**
 * Networks on VLANs of physical networks, on real switches: one plain VLAN, and one network of two segments, each on other hosts, whose subnets a router outside
 * joins (a routed provider network).
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { at } from "@selvage/lab";
import { until, whyNoLab } from "@selvage/lab/testing";
import { Fabric, type Guest } from "./support/guests.ts";

const skip = (await whyNoLab()) ?? false;
const WAIT_MS = 60_000;

/** The host that plays the router between the segments, which stands on the plain VLAN too; it has no machines. */
const ROUTER = "h4";
const router = { room: { kind: "host", name: ROUTER } } as const;
const vlans = { left: 101, right: 202, plain: 303 } as const;

let fabric: Fabric;
let routed: string;
let left: Guest;
let right: Guest;

/** Gives the router an interface with addresses on each VLAN: a port of its bridges with that tag, for not every kernel has VLANs. */
async function makeRouter(): Promise<void> {
  const words = (file: string, ...argv: readonly string[]): void => {
    const { status, stderr } = spawnSync(file, argv, { encoding: "utf8" });
    assert.equal(status, 0, `${argv.join(" ")}: ${stderr}`);
  };
  const database = `--db=unix:${join(fabric.data, "hosts", ROUTER, "run", "db.sock")}`;
  for (const [network, tag, four, six] of [
    ["left", vlans.left, "10.31.0.1/24", "2001:db8:31::1/64"],
    ["right", vlans.right, "10.32.0.1/24", "2001:db8:32::1/64"],
    ["left", vlans.plain, "10.33.0.1/24", "2001:db8:33::1/64"],
  ] as const) {
    const name = `v${tag}`;
    const port = ["add-port", `br-${network}`, name, `tag=${tag}`];
    words("ovs-vsctl", database, "-t", "60", ...port, "--", "set", "interface", name, "type=internal");
    const script = [
      `ip addr add ${four} dev ${name}`,
      `ip addr add ${six} dev ${name} nodad`,
      `ip link set ${name} mtu 1500 up`,
      `ethtool -K ${name} tx off`,
    ];
    const { code, said } = await run(router, "sh", "-c", script.join(" && "));
    assert.equal(code, 0, said);
  }
  const forwarding = "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding";
  assert.equal((await run(router, "sh", "-c", forwarding)).code, 0);
}

const run = (guest: Pick<Guest, "room">, ...argv: readonly string[]) => fabric.run(guest, ...argv);

const pings = async (from: Pick<Guest, "room">, address: string): Promise<boolean> =>
  (await run(from, "ping", "-n", "-c", "1", "-W", "10", address)).said.includes(" 1 received");

const untilReached = async (from: Pick<Guest, "room">, address: string): Promise<void> => {
  await until(`${address} was not reached`, WAIT_MS, async () => ((await pings(from, address)) ? true : undefined));
};

const portOf = async ({ id }: Guest): Promise<unknown> => at(await fabric.api.ask("GET", `/v2.0/ports/${id}`), "port");
const addressesOf = async (guest: Guest): Promise<readonly string[]> =>
  (at(await portOf(guest), "fixed_ips") as readonly { readonly ip_address: string }[]).map(
    ({ ip_address }) => ip_address,
  );
/** What the machine's own kernel has of an address, by DHCP. */
const leased = async (guest: Guest): Promise<string> =>
  until("no address by DHCP", WAIT_MS, async () => {
    const { said } = await run(guest, "ip", "-4", "-o", "addr", "show", "scope", "global");
    return /inet (\S+)\//.exec(said)?.[1];
  });
/** The MAC that a machine's kernel has for an address on its link. */
const macFor = async (guest: Guest, address: string): Promise<string> =>
  /lladdr (\S+)/.exec((await run(guest, "ip", "neigh", "show", address)).said)?.[1] ?? "";
/** The router's own MAC on a VLAN. */
const macAt = async (tag: number): Promise<string> =>
  /link\/ether (\S+)/.exec((await run(router, "ip", "link", "show", `v${tag}`)).said)?.[1] ?? "none";

describe("segments", { skip }, () => {
  before(async () => {
    fabric = await Fabric.up("segments", 4, ["--wires", `left=h1+h2+${ROUTER},right=h3+${ROUTER}`]);
    try {
      await makeRouter();
      const vlan = (physical: string, id: number) => ({
        "provider:network_type": "vlan",
        "provider:physical_network": physical,
        "provider:segmentation_id": id,
      });
      routed = await fabric.make("networks", {
        name: "routed",
        segments: [vlan("left", vlans.left), vlan("right", vlans.right)],
      });
      const listed = at(await fabric.api.ask("GET", `/v2.0/segments?network_id=${routed}`), "segments");
      for (const segment of listed as readonly { readonly id: string; readonly physical_network: string }[]) {
        const net = segment.physical_network === "left" ? "31" : "32";
        const common = { network_id: routed, segment_id: segment.id };
        await fabric.make("subnets", { ...common, ip_version: 4, cidr: `10.${net}.0.0/24` });
        await fabric.make("subnets", {
          ...{ ...common, ip_version: 6, cidr: `2001:db8:${net}::/64`, gateway_ip: `2001:db8:${net}::1` },
          ...{ ipv6_address_mode: "dhcpv6-stateful" },
        });
      }
      const open = { network_id: routed, port_security_enabled: false };
      left = await fabric.guest("left", "h1", open);
      right = await fabric.guest("right", "h3", open);
    } catch (cause) {
      await fabric[Symbol.asyncDispose]();
      throw cause;
    }
  });
  after(async () => {
    await fabric?.[Symbol.asyncDispose]();
  });

  test("machines get addresses of their host's segment, by the port and by DHCP", async () => {
    const [ofLeft, ofRight] = [await addressesOf(left), await addressesOf(right)];
    assert.match(ofLeft.toSorted().join(" "), /^10\.31\.0\.\d+ 2001:db8:31:/);
    assert.match(ofRight.toSorted().join(" "), /^10\.32\.0\.\d+ 2001:db8:32:/);
    assert.equal(
      await leased(left),
      ofLeft.find((address) => !address.includes(":")),
    );
    assert.equal(
      await leased(right),
      ofRight.find((address) => !address.includes(":")),
    );
    const { said } = await run(left, "ip", "route");
    assert.match(said, /10\.32\.0\.0\/24 via 10\.31\.0\.1/, "the other segment is behind the own gateway");
  });

  test("they reach their gateway, a router outside, and each other through it, under each segment's tag", async () => {
    const target = await leased(right);
    await untilReached(left, "10.31.0.1");
    await using onLeft = fabric.start(router, "tcpdump", "-i", "left", "-e", "-n", "-l", "icmp or vlan");
    await using onRight = fabric.start(router, "tcpdump", "-i", "right", "-e", "-n", "-l", "icmp or vlan");
    await Promise.all([onLeft, onRight].map((program) => program.says(/listening on/)));
    await untilReached(left, target);
    const asked = `${await leased(left)} > ${target}: ICMP echo request`.replaceAll(".", "\\.");
    await onLeft.says(new RegExp(`vlan ${vlans.left},.*${asked}`));
    await onRight.says(new RegExp(`vlan ${vlans.right},.*${asked}`));
    const gateway = await macFor(left, "10.31.0.1");
    assert.equal(gateway, await macAt(vlans.left), "the gateway is the router outside, and not the host");
  });

  test("a host of the other segment is asked for by nobody's ARP: who is there is not on this link", async () => {
    const target = await leased(right);
    await run(left, "ip", "route", "replace", `${target}/32`, "dev", "eth0");
    try {
      assert.equal(await pings(left, target), false);
      assert.equal(await macFor(left, target), "");
    } finally {
      await run(left, "ip", "route", "del", `${target}/32`, "dev", "eth0");
    }
  });

  test("a machine goes to another host of its segment and is refused on one of the other", async () => {
    const bind = (host: string) =>
      fabric.api.ask("PUT", `/v2.0/ports/${left.id}`, { port: { "binding:host_id": host } });
    await assert.rejects(bind("h3"), /HostNotCompatibleWithFixedIps|not connected to a segment/);
    assert.equal(at(await portOf(left), "binding:host_id"), "h1");
    const other = await fabric.guest("other", "h2", { network_id: routed, port_security_enabled: false });
    await leased(other);
    await untilReached(other, await leased(left));
    await untilReached(other, await leased(right));
    await fabric.leave(other);
  });

  test("a plain network on a VLAN: DHCP by the host, the gateway's own MAC, other hosts by the wire", async () => {
    const network = await fabric.make("networks", {
      ...{ name: "plain", "provider:network_type": "vlan", "provider:physical_network": "left" },
      "provider:segmentation_id": vlans.plain,
    });
    await fabric.make("subnets", { network_id: network, ip_version: 4, cidr: "10.33.0.0/24" });
    const [one, two] = [
      await fabric.guest("one", "h1", { network_id: network }),
      await fabric.guest("two", "h2", { network_id: network }),
    ];
    assert.equal(await leased(one), one.ip4);
    assert.equal(await leased(two), two.ip4);
    await untilReached(one, "10.33.0.1");
    assert.equal(await macFor(one, "10.33.0.1"), await macAt(vlans.plain));
    await using seen = fabric.start(router, "tcpdump", "-i", "left", "-e", "-n", "-l", "vlan");
    await seen.says(/listening on/);
    // Their groups let neither be asked by strangers, and both by each other.
    await untilReached(one, two.ip4);
    await run(one, "ip", "neigh", "flush", "all");
    await untilReached(one, "10.33.0.1");
    await seen.says(new RegExp(`vlan ${vlans.plain},.*10\\.33\\.0\\.1`));
    const third = await fabric.api.ask("POST", "/v2.0/ports", {
      port: { network_id: network, "binding:host_id": "h3" },
    });
    assert.equal(at(at(third, "port"), "binding:vif_type"), "binding_failed", "h3 has no wire to it");
  });
});
