/** Addresses that move between ports, reached through routers: a copy to each host that may have them, given to whoever was heard to have it, and nobody else. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  arpReply,
  arpRequest,
  gratuitousArp,
  neighbourAdvertisement,
  neighbourSolicitation,
  type Speaker,
  sameBytes,
  udpBetween,
} from "@selvage/datapath/testing";
import { HeldAddress, neighbourId, Port } from "@selvage/model";
import { makeHeldAddress, put, remove, testId } from "@selvage/model/testing";
import { ingressOf, serviceMac } from "@selvage/pipeline";
import { fabric, type TestFabric } from "../testing/fabric.ts";
import { routedNet } from "../testing/intent.ts";
import { moving } from "./moving.ts";

const vips = { 4: "10.0.1.200", 6: "2001:db8:1::c8" } as const;
const virtualMac = "00:00:5e:00:01:07";
const families = [4, 6] as const;
const ports = { src: 40_000, dst: 80 } as const;

/** `a` and `b`, on two hosts, may both have the addresses; `c` is beside them, `x` on another network of the router, on a host that has none of theirs. */
async function world(mac: string | undefined, type = "geneve"): Promise<TestFabric> {
  const network = { network: { "provider:network_type": type } };
  const holder = (host: string, number: number) => ({
    host,
    port: {
      allowed_address_pairs: [...Object.values(vips), "10.0.1.208/28"].map((ip_address) => ({
        ip_address,
        mac_address: mac ?? `fa:16:3e:00:00:0${number}`,
      })),
    },
  });
  const made = await fabric(
    { hosts: 3 },
    routedNet(1, "office", { a: holder("h1", 1), b: holder("h2", 2), c: "h1" }, network),
    routedNet(2, "lab", { x: "h3" }, network),
  );
  made.route({ number: 1, on: { office: 1, lab: 1 } });
  return made;
}

const gateway = (made: TestFabric): string =>
  made
    .rows("h3")
    .find(({ table, key }) => table === "to_router" && key.net === 2)
    ?.key.ethDst?.toString() ?? "";

/** What the agent of a host heard: one of its machines has the addresses; undefined: none has. */
function hear(made: TestFabric, host: string, name: string | undefined, mac?: string): void {
  const { network } = made.network("office");
  made.learn(
    host,
    Object.values(vips).map((address) => {
      if (name === undefined) return remove(HeldAddress, neighbourId(network.id, address));
      const { port } = made.machine(name);
      const of = { network_id: network.id, address, port_id: port.id, mac: mac ?? port.mac_address };
      return put(HeldAddress, makeHeldAddress(of));
    }),
  );
}

const to = (made: TestFabric): Speaker => ({ mac: gateway(made), ip4: vips[4], ip6: vips[6] });

for (const type of ["geneve", "vxlan"] as const) {
  for (const mac of [undefined, virtualMac]) {
    describe(`an address that moves, ${mac === undefined ? "with its port's MAC" : "with a virtual one"}, on ${type}`, () => {
      test("is reached through a router where it is, wherever the sender is, and where it went", async () => {
        const made = await world(mac, type);
        const send = (version: 4 | 6) => made.send("x", udpBetween(version, made.machine("x"), to(made), ports));
        for (const version of families) {
          const { delivered, drops, punts, crossed } = send(version);
          assert.deepEqual([delivered, drops, punts, crossed], [[], [], [], 2], "nobody is known to have it");
        }
        for (const [name, host, other] of [
          ["a", "h1", "h2"],
          ["b", "h2", "h1"],
        ] as const) {
          hear(made, other, undefined);
          hear(made, host, name, mac);
          for (const version of families) {
            const { delivered, frames, drops } = send(version);
            assert.deepEqual([delivered, drops], [[name], []]);
            const office = made.machine(name);
            const [frame] = frames;
            const holder = { mac: mac ?? office.mac, ip4: vips[4], ip6: vips[6] };
            const source = { ...made.machine("x"), mac: "fa:16:3e:ff:01:01" };
            const wanted = udpBetween(version, source, holder, ports, undefined, { ttl: 63 });
            assert.ok(frame !== undefined && sameBytes(frame, wanted));
          }
        }
      });

      test("is asked around by machines of its network, and who has it answers them himself", async () => {
        const made = await world(mac, type);
        hear(made, "h1", "a", mac);
        const c = made.machine("c");
        assert.deepEqual([...made.send("c", arpRequest(c, vips[4])).delivered].sort(), ["a", "b"]);
        assert.deepEqual([...made.send("c", neighbourSolicitation(c, vips[6])).delivered].sort(), ["a", "b"]);
      });

      test("who says that he has it is heard by his host's agent and by those of the others that may", async () => {
        const made = await world(mac, type);
        const a = { ...made.machine("a"), mac: mac ?? made.machine("a").mac, ip4: vips[4], ip6: vips[6] };
        const says = (frame: Uint8Array) => {
          const { punts, delivered } = made.send("a", frame);
          const heard = punts.map(({ kind, attachment, net }) => [kind, attachment, net]);
          return [heard.sort(), [...delivered].sort()];
        };
        const heard = [
          ["neighbour", made.machine("a").port.id, 1],
          ["neighbour", ingressOf[type], 1],
        ].sort();
        assert.deepEqual(says(gratuitousArp(a)), [heard, ["b", "c"]]);
        assert.deepEqual(says(neighbourAdvertisement(a, vips[6])), [heard, ["b", "c"]]);
        const asked = { ...made.machine("c"), mac: serviceMac };
        assert.deepEqual(says(arpReply(a, asked)), [heard.filter(([, at]) => at !== ingressOf[type]), []]);
      });
    });
  }
}

test("an address of a pair that is somebody's own is his", async () => {
  const made = await world(undefined);
  hear(made, "h1", "a");
  const { port } = made.machine("c");
  const fixed = families.map((version) => ({
    subnet_id: made.network("office").subnets.find(({ ip_version }) => ip_version === version)?.id ?? "",
    ip_address: vips[version],
  }));
  made.set("c", { fixed_ips: [...port.fixed_ips, ...fixed] });
  for (const version of families)
    assert.deepEqual(made.send("x", udpBetween(version, made.machine("x"), to(made), ports)).delivered, ["c"]);
});

test("it may be a next hop", async () => {
  const made = await world(undefined);
  made.route({
    number: 1,
    on: { office: 1, lab: 1 },
    routes: [
      { destination: "198.51.100.0/24", nexthop: vips[4] },
      { destination: "2001:db8:f::/48", nexthop: vips[6] },
    ],
  });
  hear(made, "h2", "b");
  const far: Speaker = { mac: gateway(made), ip4: "198.51.100.7", ip6: "2001:db8:f::7" };
  for (const version of families)
    assert.deepEqual(made.send("x", udpBetween(version, made.machine("x"), far, ports)).delivered, ["b"]);
});

test("who may have it no more has it no more; nothing is left without a router, and nothing of prefixes is asked", async () => {
  const made = await world(undefined);
  hear(made, "h1", "a");
  assert.ok(made.rows("h1", moving.tables).every(({ key }) => !String(key.nh).includes("10.0.1.208")));
  made.set("a", { allowed_address_pairs: [] });
  for (const version of families)
    assert.deepEqual(made.send("x", udpBetween(version, made.machine("x"), to(made), ports)).delivered, []);
  made.change([remove(Port, testId("interface 1", 1))]);
  const left = ["h1", "h2", "h3"].flatMap((host) =>
    made.rows(host).filter(({ action }) => ["moving", "heard", "held"].includes(action)),
  );
  assert.deepEqual(left, []);
});
