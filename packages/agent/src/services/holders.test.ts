/** Who has an address that moves: asked for by the clock, heard from who says so, and forgotten when he does not answer, another has it, or it is his to have no more. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics, ManualClock, silentLog } from "@selvage/base";
import { hostEngine } from "@selvage/compiler";
import { Attachment, type Change, HeldAddress, Host, Network, neighbourId, Port, Router } from "@selvage/model";
import { makeHost, makeNetwork, makePort, makeRouter, put, testId, testMac } from "@selvage/model/testing";
import { decode, encode } from "@selvage/packet";
import { HoldersHere, serviceMac } from "@selvage/pipeline";
import { Holders } from "./holders.ts";

const vips = ["10.0.0.200", "2001:db8::c8"] as const;
const network = makeNetwork();
const net = network["provider:segmentation_id"] ?? 0;

function machine(number: number, pairs: readonly string[] = vips): Port {
  const mac = testMac(number);
  return makePort({
    ...{ id: testId("port", number), key: number, mac_address: mac, "binding:host_id": "h1", fixed_ips: [] },
    allowed_address_pairs: pairs.map((ip_address) => ({ ip_address, mac_address: mac })),
  });
}

/** A host with two machines that may have both addresses, on a network with a router. */
async function started() {
  const clock = new ManualClock();
  const engine = hostEngine({ name: "h1" });
  const asked: string[] = [];
  let revision = 0;
  const change = (changes: readonly Change[]): void => {
    revision += 1;
    holders.changed(engine.apply(changes, revision));
  };
  const holders = new Holders({
    ...{ view: engine.view, rows: engine, clock, log: silentLog, metrics: await createMetrics() },
    datapath: {
      send: async (port, frame) => {
        const read = decode(frame);
        assert.ok(read.ok && read.packet.eth.src === serviceMac);
        const { arp, icmpv6 } = read.packet;
        const target = icmpv6?.kind === "neighbor-solicitation" ? icmpv6.target : arp?.tpa;
        asked.push(`${port === testId("port", 1) ? "first" : "second"} ${target}`);
      },
    },
    learned: change,
  });
  const router = makeRouter();
  const door = makePort({ id: testId("door"), key: 99, mac_address: testMac(99), fixed_ips: [], router_id: router.id });
  change([
    ...[put(Host, makeHost({ name: "h1" })), put(Network, network), put(Router, router), put(Port, door)],
    ...[1, 2].flatMap((number) => [put(Port, machine(number)), put(Attachment, { id: testId("port", number) })]),
  ]);
  /** A machine says, of its own accord or as it was asked, that it has an address. */
  const says = (address: string, number: number, at = testId("port", number)): string => {
    const mac = testMac(number);
    const frame = address.includes(":")
      ? encode({
          eth: { src: mac, dst: serviceMac },
          ipv6: { src: address, dst: "fe80::5e:1fff:fe00:a9fe", hopLimit: 255 },
          icmpv6: {
            ...{ kind: "neighbor-advertisement", router: false, solicited: true, override: true, target: address },
            options: [{ kind: "target-link-layer", mac }],
          },
        })
      : encode({
          eth: { src: mac, dst: serviceMac },
          arp: { op: 2, sha: mac, spa: address, tha: serviceMac, tpa: "0.0.0.0" },
        });
    return holders.serve({ attachment: at, net, vrf: 0, srcPort: number, kind: "neighbour", frame }).answer;
  };
  return {
    ...{ holders, clock, change, says },
    asked: () => asked.splice(0).sort(),
    held: (address: string) => engine.view.get(HeldAddress, neighbourId(network.id, address))?.port_id,
    rows: () => [...engine.rows()].filter(({ table }) => table === HoldersHere.name).length,
  };
}

test("each machine that may have an address is asked at once, and ever more rarely", async () => {
  const { holders, clock, asked } = await started();
  clock.advance(0);
  const all = ["first", "second"].flatMap((name) => vips.map((vip) => `${name} ${vip}`)).sort();
  assert.deepEqual(asked(), all);
  clock.advance(249);
  assert.deepEqual(asked(), []);
  clock.advance(1);
  assert.deepEqual(asked(), all);
  clock.advance(60_000);
  const many = asked().length / all.length;
  assert.ok(many > 6 && many < 15, `${many} times in a minute`);
  holders.close();
  clock.advance(60_000);
  assert.deepEqual(asked(), []);
});

test("who says that he has it, has it, with a row of the switch; another who says so has it then", async () => {
  const { clock, says, held, rows } = await started();
  for (const vip of vips) {
    assert.equal(says(vip, 1), "reply");
    assert.equal(held(vip), testId("port", 1));
    assert.equal(says(vip, 2), "silence", "two who say so at once cost one change");
    assert.equal(held(vip), testId("port", 1));
    clock.advance(200);
    says(vip, 2);
    assert.equal(held(vip), testId("port", 2));
  }
  assert.equal(rows(), 2);
});

test("who does not answer any more has it no more, and who does is asked on", async () => {
  const { clock, says, held, asked } = await started();
  says(vips[0], 1);
  clock.advance(5_000);
  asked();
  says(vips[0], 1);
  clock.advance(4_000);
  assert.equal(held(vips[0]), testId("port", 1));
  clock.advance(4_000);
  assert.equal(held(vips[0]), undefined);
});

test("what is heard from another host is here no more; what nobody here may have is not learned", async () => {
  const { says, held, rows, clock, asked } = await started();
  clock.advance(1_000);
  for (const at of ["fabric", "fabric-vxlan"]) {
    says(vips[1], 1);
    asked();
    assert.equal(says(vips[1], 7, at), "reply");
    assert.deepEqual([held(vips[1]), rows()], [undefined, 0]);
    clock.advance(100);
    says(vips[1], 7, at);
    clock.advance(150);
    assert.ok(
      asked().includes(`first ${vips[1]}`),
      "who had it is asked whether he still has, however often it is said",
    );
  }
  assert.equal(says("10.0.0.201", 1), "silence");
  assert.equal(says(vips[0], 1, testId("door")), "silence");
  assert.equal(rows(), 0);
});

test("a pair that goes, and a machine that is pulled out, take it away", async () => {
  const { change, says, held, rows, clock, asked } = await started();
  says(vips[0], 1);
  change([put(Port, machine(1, [vips[1]]))]);
  assert.deepEqual([held(vips[0]), rows()], [undefined, 0]);
  says(vips[0], 2);
  change([{ kind: Attachment.kind, id: testId("port", 2), object: null }]);
  assert.deepEqual([held(vips[0]), rows()], [undefined, 0]);
  asked();
  clock.advance(300);
  assert.deepEqual(new Set(asked()), new Set([`first ${vips[1]}`]));
});
