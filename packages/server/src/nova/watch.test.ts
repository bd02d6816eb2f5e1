/** Tests of which events ports and reports make: each case by itself, and a random history against what is so. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Change, Host, type ObjectOf, Port, Replica } from "@selvage/model";
import { makeHost, makePort, put, remove, testId } from "@selvage/model/testing";
import fc from "fast-check";
import { MemoryHostStates } from "../host-states.ts";
import { type NovaEvent, VifWatch } from "./watch.ts";

const server = testId("server", 1);
const h1 = makeHost();
const h2 = makeHost({ id: testId("host", 2), name: "h2", key: 2, tunnel_ip: "2001:db8::2" });
const machine = { device_owner: "compute:nova", device_id: server, "binding:host_id": "h1" };
const port = makePort(machine);

function world(...ports: readonly ObjectOf<typeof Port>[]) {
  const replica = new Replica();
  const objects = [h1, h2].map((object) => put(Host, object));
  replica.apply([...objects, ...ports.map((object) => put(Port, object))], 1);
  const hosts = new MemoryHostStates({ now: () => 0 });
  const watch = new VifWatch(replica, hosts, replica.objects(Port));
  let revision = 1;
  return {
    commit: (...changes: readonly Change[]) => {
      revision += 1;
      replica.apply(changes, revision);
      return watch.committed(changes);
    },
    report: (hostId: string, ...portsUp: readonly string[]) => {
      hosts.report(hostId, { portsUp });
      return watch.reported(hostId);
    },
    again: (hostId: string) => {
      hosts.report(hostId, { inForce: revision });
      return watch.reported(hostId);
    },
    replica,
    hosts,
  };
}

const event = (name: NovaEvent["name"], device = server, tag = port.id): NovaEvent =>
  name === "network-vif-deleted" || name === "network-changed"
    ? { name, server_uuid: device, tag }
    : { name, server_uuid: device, tag, status: "completed" };

test("a compute port is told plugged once when its host has it up, unplugged when no more, deleted when it goes", () => {
  const { commit, report, again } = world(port);
  assert.deepEqual(report(h1.id, port.id), [event("network-vif-plugged")]);
  assert.deepEqual(again(h1.id), []);
  assert.deepEqual(report(h1.id, port.id), []);
  assert.deepEqual(report(h1.id), [event("network-vif-unplugged")]);
  assert.deepEqual(report(h1.id, port.id), [event("network-vif-plugged")]);
  assert.deepEqual(commit(remove(Port, port.id)), [event("network-vif-deleted")]);
  assert.deepEqual(report(h1.id), [], "nothing more of a port that is gone");
});

test("ports of others than Nova make no events: routers, DHCP, no owner, a device that is no server's id", () => {
  for (const partial of [
    { device_owner: "network:dhcp" },
    { device_owner: "" },
    { device_owner: "computer:" },
    { device_id: "" },
    { device_id: "dhcp-of-someone" },
  ]) {
    const other = makePort({ ...machine, ...partial });
    const { commit, report } = world(other);
    assert.deepEqual(report(h1.id, other.id), [], JSON.stringify(partial));
    assert.deepEqual(commit(remove(Port, other.id)), [], JSON.stringify(partial));
  }
});

test("only the host that the port is bound to can bring it up", () => {
  const { report } = world(port);
  assert.deepEqual(report(h2.id, port.id), []);
  assert.deepEqual(report(h1.id, port.id), [event("network-vif-plugged")]);
});

test("a port bound elsewhere (a migration) is unplugged at once, and plugged when its new host has it up", () => {
  const { commit, report } = world(port);
  report(h1.id, port.id);
  assert.deepEqual(commit(put(Port, { ...port, "binding:host_id": "h2" })), [event("network-vif-unplugged")]);
  assert.deepEqual(report(h2.id, port.id), [event("network-vif-plugged")]);
  assert.deepEqual(report(h1.id), []);
});

test("a port that gets its machine while it is up is told for it; one that changes machines for both", () => {
  const other = testId("server", 2);
  const free = makePort({ "binding:host_id": "h1" });
  const { commit, report } = world(free);
  assert.deepEqual(report(h1.id, free.id), []);
  assert.deepEqual(commit(put(Port, port)), [event("network-vif-plugged")]);
  assert.deepEqual(commit(put(Port, { ...port, device_id: other })), [
    event("network-vif-unplugged"),
    event("network-vif-plugged", other),
  ]);
  assert.deepEqual(commit(put(Port, free)), [event("network-vif-unplugged", other)]);
});

test("other addresses are told, other names are not", () => {
  const { commit } = world(port);
  assert.deepEqual(commit(put(Port, { ...port, name: "web", admin_state_up: false })), []);
  const fixed_ips = [...port.fixed_ips, { subnet_id: testId("subnet", 6), ip_address: "2001:db8::11" }];
  assert.deepEqual(commit(put(Port, { ...port, fixed_ips })), [event("network-changed")]);
  assert.deepEqual(commit(put(Port, { ...port, fixed_ips, mac_address: "fa:16:3e:ff:00:00" })), [
    event("network-changed"),
  ]);
});

test("a host that is known only later, or removed, is no trouble", () => {
  const { commit, report } = world(makePort({ ...machine, "binding:host_id": "h9" }));
  assert.deepEqual(report(testId("host", 9), port.id), []);
  const h9 = makeHost({ id: testId("host", 9), name: "h9", key: 9, tunnel_ip: null });
  commit(put(Host, h9));
  assert.deepEqual(report(h9.id), []);
  assert.deepEqual(report(h9.id, port.id), [event("network-vif-plugged")]);
  commit(remove(Host, h9.id));
  assert.deepEqual(report(h9.id), [event("network-vif-unplugged")]);
});

test("after any history Nova believes of each port what is so, and nothing is told twice", () => {
  const ids = [0, 1, 2].map((n) => testId("port", n));
  const devices = ["", testId("server", 1), testId("server", 2)];
  const step = fc.oneof(
    fc.record({
      op: fc.constant("port" as const),
      port: fc.nat(2),
      owner: fc.constantFrom("compute:az1", "network:dhcp"),
      device: fc.constantFrom(...devices),
      host: fc.constantFrom("", "h1", "h2"),
    }),
    fc.record({ op: fc.constant("remove" as const), port: fc.nat(2) }),
    fc.record({ op: fc.constant("report" as const), host: fc.constantFrom(h1, h2), up: fc.subarray(ids) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { commit, report, replica, hosts } = world();
      const believed = new Map<string, string>();
      for (const one of steps) {
        const events = ((): readonly NovaEvent[] => {
          switch (one.op) {
            case "port":
              return commit(
                put(
                  Port,
                  makePort({
                    id: ids[one.port] ?? "",
                    mac_address: `fa:16:3e:00:00:0${one.port}`,
                    key: one.port + 1,
                    fixed_ips: [],
                    device_owner: one.owner,
                    device_id: one.device,
                    "binding:host_id": one.host,
                  }),
                ),
              );
            case "remove":
              return commit(remove(Port, ids[one.port] ?? ""));
            case "report":
              return report(one.host.id, ...one.up);
          }
        })();
        for (const { name, tag, server_uuid } of events) {
          if (name === "network-vif-plugged") {
            assert.ok(!believed.has(tag), "plugged twice");
            believed.set(tag, server_uuid);
          } else if (name === "network-vif-unplugged") {
            assert.equal(believed.get(tag), server_uuid, "unplugged what was not plugged");
            believed.delete(tag);
          } else if (name === "network-vif-deleted") believed.delete(tag);
        }
        const truth = new Map<string, string>();
        for (const each of replica.objects(Port)) {
          const host = [h1, h2].find(({ name }) => name === each["binding:host_id"]);
          const compute = each.device_owner.startsWith("compute:") && each.device_id !== "";
          if (compute && host !== undefined && hosts.portUp(host.id, each.id)) truth.set(each.id, each.device_id);
        }
        assert.deepEqual(new Map([...believed].sort()), new Map([...truth].sort()));
      }
    }),
    { numRuns: 200 },
  );
});
