/** What physical networks cost: work for a router's gateway, a forwarded port, a host that changes or is lost, the same with ten hosts on the wire and with a thousand, and with few routers and many. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Attachment, type Change, FloatingIp, Host, PeerDown, Port, PortForwarding, Router } from "@selvage/model";
import {
  makeFloatingIp,
  makeGateway,
  makePeerDown,
  makePort,
  makePortForwarding,
  makeRouter,
  put,
  testId,
} from "@selvage/model/testing";
import { physicalName } from "@selvage/pipeline";
import { hostEngine } from "../host-engine.ts";
import { elected } from "../physical.ts";
import { type Cost, costOf } from "../testing/cost.ts";
import { hostsOf } from "../testing/intent.ts";
import { externalChanges } from "../testing/outside.ts";

interface Site {
  readonly hosts: readonly Host[];
  /** Changes, and what they cost: work, and what the engine has to remember of what it read. */
  readonly apply: (...changes: readonly Change[]) => Cost;
}

/** The address of the n-th router's gateway. */
const addressOf = (number: number): string => `203.0.${112 + (number >> 8)}.${number & 255}`;

function gateway(number: number): readonly Change[] {
  const router = makeRouter({ id: testId("router", number), key: number });
  const fixed_ips = [{ subnet_id: testId("external subnet", 1), ip_address: addressOf(number) }];
  const port = { id: testId("gateway", number), key: 0x100000 + number, gateway_of: router.id, fixed_ips };
  return [put(Router, router), put(Port, makeGateway(port))];
}

/** Host h1 as it sees so many hosts on one wire, and gateways of so many routers of others. */
function site(count: number, gateways: number): Site {
  const hosts = hostsOf(count).map((host) => ({ ...host, physical_networks: ["public"] }));
  const engine = hostEngine({ name: "h1" });
  let revision = 0;
  const apply = (...changes: readonly Change[]): Cost => {
    revision += 1;
    return costOf(engine, changes, revision);
  };
  apply(
    ...hosts.map((host) => put(Host, host)),
    ...externalChanges(),
    put(Attachment, { id: physicalName("public") }),
    ...Array.from({ length: gateways }, (_, at) => gateway(at + 1)).flat(),
  );
  return { hosts, apply };
}

/** Gateways that a host speaks for, of the first so many. */
const spokenBy = (host: Host, hosts: readonly Host[], gateways: number): number =>
  Array.from({ length: gateways }, (_, at) => elected(addressOf(at + 1), hosts)).filter((each) => each?.id === host.id)
    .length;

/** An address that nobody has yet, for which another host than h1 will speak. */
function foreign(hosts: readonly Host[]): number {
  for (let number = 1_001; number < 1_200; number += 1)
    if (elected(addressOf(number), hosts)?.name !== "h1") return number;
  return assert.fail("h1 speaks for all");
}

/** Few hosts and routers, many hosts, many routers. */
const sizes = [
  { hosts: 10, gateways: 3 },
  { hosts: 1_000, gateways: 3 },
  { hosts: 10, gateways: 1_000 },
] as const;

/** The same cost at all of them. */
function costs(act: (site: Site) => Cost): Cost {
  const [first, ...others] = sizes.map((size) => act(site(size.hosts, size.gateways)));
  assert.ok(first !== undefined);
  for (const each of others) assert.deepEqual(each, first);
  return first;
}

test("a router's gateway that comes", () => {
  assert.equal(costs(({ apply, hosts }) => apply(...gateway(foreign(hosts)))).rows, 1, "the answer to a ping");
});

test("a forwarded port that comes", () => {
  const { rows } = costs(({ apply, hosts }) => {
    const floating_ip_address = addressOf(foreign(hosts));
    const floating = { id: testId("floating ip", 1), floating_ip_address, port_id: null, fixed_ip_address: null };
    apply(
      put(Port, makePort({ id: testId("port", 1), "binding:host_id": "h2" })),
      put(FloatingIp, makeFloatingIp(floating)),
    );
    return apply(put(PortForwarding, makePortForwarding()));
  });
  assert.equal(rows, 1, "sent on to its host");
});

test("a host of the wire whose tunnels end elsewhere", () => {
  const { queriesRun } = costs(({ apply, hosts }) => {
    const [, host] = hosts;
    assert.ok(host !== undefined);
    return apply(put(Host, { ...host, tunnel_ip: "198.51.100.200" }));
  });
  assert.ok(queriesRun <= 5, `${queriesRun} queries`);
});

test("a host that is lost wakes the addresses that it spoke for, and no other", () => {
  const woken = sizes.map(({ hosts: count, gateways }) => {
    const { apply, hosts } = site(count, gateways);
    const lost = hosts.findLast(({ name }) => name !== "h1") ?? assert.fail();
    const { unitsRun } = apply(put(PeerDown, makePeerDown({ id: lost.id })));
    const spoken = spokenBy(lost, hosts, gateways);
    assert.ok(gateways < 1_000 || spoken > 50, `${spoken} addresses`);
    return unitsRun - spoken;
  });
  assert.deepEqual(new Set(woken).size, 1, woken.join());
});
