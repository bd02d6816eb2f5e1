/** Which changes of the switch's database have the driver look at its interfaces again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "@selvage/ovsdb";
import { bridgeReplica, mayConcernInterfaces } from "./bridge.ts";

const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
const ids = (pairs: Record<string, string>): Json => ["map", Object.entries(pairs)];
const port = (n: number): Json => ["uuid", uuid(n)];

test("what is written down at a bridge is of no interface; its ports, its kind and its coming and going are", () => {
  const replica = bridgeReplica();
  const told: boolean[] = [];
  replica.replaceAll(
    "update2",
    {
      Bridge: { [uuid(1)]: { initial: { name: "br-int", ports: port(2) } } },
      Port: { [uuid(2)]: { initial: { name: "p", interfaces: port(3) } } },
      Interface: { [uuid(3)]: { initial: { name: "p", ofport: 7 } } },
      CT_Zone: { [uuid(4)]: { initial: { external_ids: ids({ selvage: "translated" }) } } },
    },
    null,
  );
  replica.onChange((changes) => told.push(mayConcernInterfaces(changes)));
  const after = (updates: Json): boolean | undefined => {
    replica.applyUpdates("update2", updates, null);
    return told.at(-1);
  };
  assert.equal(after({ Bridge: { [uuid(1)]: { modify: { external_ids: ids({ "ct-zone-a": "64" }) } } } }), false);
  assert.equal(after({ CT_Zone: { [uuid(4)]: { delete: null } } }), false);
  assert.equal(after({ Bridge: { [uuid(1)]: { modify: { datapath_type: "netdev" } } } }), true);
  const both = { external_ids: ids({ "ct-zone-a": "64" }), ports: ["set", [port(5)]] };
  assert.equal(after({ Bridge: { [uuid(1)]: { modify: both } } }), true);
  assert.equal(after({ Interface: { [uuid(3)]: { modify: { external_ids: ids({ "iface-id": "one" }) } } } }), true);
  assert.equal(after({ Port: { [uuid(2)]: { delete: null } } }), true);
  assert.equal(after({ Bridge: { [uuid(6)]: { insert: { name: "br-public" } } } }), true);
  assert.equal(after({ Bridge: { [uuid(6)]: { delete: null } } }), true);
});
