import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { field, reference } from "./fields.ts";
import { deletionPlan, violationsOf } from "./integrity.ts";
import { Overlay } from "./overlay.ts";
import { Replica } from "./replica.ts";
import { resource } from "./resource.ts";
import { resources } from "./resources/all.ts";
import { Project } from "./resources/identity.ts";
import { Network } from "./resources/network.ts";
import { Port } from "./resources/port.ts";
import { Subnet } from "./resources/subnet.ts";
import {
  makeNetwork,
  makePort,
  makeProject,
  makeSubnet,
  put,
  randomHistory,
  remove,
  testId,
  testMac,
} from "./testing/mod.ts";
import { list, nullable, text } from "./types.ts";
import type { Change } from "./view.ts";

const network = makeNetwork();
const subnet = makeSubnet();
const port = makePort();

function world(...changes: readonly Change[]): Replica {
  const replica = new Replica();
  replica.apply([put(Project, makeProject()), ...changes], 1);
  return replica;
}

function judge(base: Replica, ...changes: readonly Change[]) {
  const overlay = new Overlay(base);
  overlay.apply(changes);
  return violationsOf(overlay, changes);
}

const whole = () => world(put(Network, network), put(Subnet, subnet), put(Port, port));

test("a key that is free or the object's own is no violation", () => {
  const other = makePort({ id: testId("port", 2), mac_address: testMac(2), fixed_ips: [], key: 2 });
  assert.deepEqual(judge(whole(), put(Port, { ...port, name: "x" }), put(Port, other)), []);
});

test("each unique key that another holds is named with its holder, on whichever side it was changed", () => {
  const twin = makePort({ id: testId("port", 2) });
  const found = judge(whole(), put(Port, twin));
  assert.deepEqual(
    found.map((each) => each.violation === "taken" && [each.index, each.holder.id]),
    [
      ["networkMac", port.id],
      ["address", port.id],
      ["key", port.id],
    ],
  );
  assert.deepEqual(judge(whole(), put(Port, twin), remove(Port, port.id)), [], "the holder goes in the same request");
  assert.equal(judge(world(put(Network, network), put(Subnet, subnet)), put(Port, twin), put(Port, port)).length, 6);
});

test("a reference to what is not there dangles, made so from either end", () => {
  const lost = makePort({ network_id: testId("network", 9) });
  const target = { kind: "network", id: testId("network", 9) };
  const dangling = { violation: "dangling", object: { kind: "port", id: lost.id }, field: "network_id", target };
  assert.deepEqual(judge(world(), put(Port, lost)), [dangling]);
  assert.deepEqual(
    judge(whole(), remove(Network, network.id)).map((each) => `${each.violation} ${each.object.kind}`),
    ["dangling subnet", "dangling port"],
  );
  assert.deepEqual(
    judge(whole(), put(Port, lost), put(Network, makeNetwork({ id: target.id, "provider:segmentation_id": 9 }))),
    [],
  );
});

test("a network with a port is refused; without one it takes its subnets along, before itself", () => {
  const refused = deletionPlan(whole(), Network, network.id);
  assert.deepEqual(refused, {
    outcome: "refused",
    refusedBy: [
      { holder: { kind: "port", id: port.id }, field: "network_id", target: { kind: "network", id: network.id } },
    ],
  });
  assert.deepEqual(deletionPlan(world(put(Network, network), put(Subnet, subnet)), Network, network.id), {
    outcome: "planned",
    changes: [remove(Subnet, subnet.id), remove(Network, network.id)],
  });
  assert.deepEqual(deletionPlan(world(), Network, network.id), { outcome: "planned", changes: [] });
});

const Box = resource({
  kind: "box",
  plural: "boxes",
  fields: { id: field(text()), lid: reference(nullable(text()), "lid", "clear") },
});
const Lid = resource({
  kind: "lid",
  plural: "lids",
  fields: {
    id: field(text()),
    boxes: reference(list(text()), "box", "clear"),
    of: reference(text(), "box", "refuse", { default: "" }),
  },
});
const Part = resource({
  kind: "part",
  plural: "parts",
  fields: {
    id: field(text()),
    box: reference(text(), "box", "cascade"),
    near: reference(nullable(text()), "part", "refuse"),
    unless: reference(text(), "box", "clear", { default: "" }),
  },
});
const things = [Box, Lid, Part];

function boxes(...changes: readonly Change[]): Replica {
  const replica = new Replica({ resources: things });
  replica.apply(changes, 1);
  return replica;
}

test("clear empties a reference to null or its default, and takes an id out of a list, in one change an object", () => {
  const view = boxes(
    put(Box, { id: "a", lid: null }),
    put(Box, { id: "b", lid: null }),
    put(Lid, { id: "l", boxes: ["b", "a"], of: "" }),
    put(Part, { id: "p", box: "b", near: null, unless: "a" }),
  );
  assert.deepEqual(deletionPlan(view, Box, "a", things), {
    outcome: "planned",
    changes: [
      put(Lid, { id: "l", boxes: ["b"], of: "" }),
      put(Part, { id: "p", box: "b", near: null, unless: "" }),
      remove(Box, "a"),
    ],
  });
});

test("an object that goes with the deleted one refuses nothing, and is not cleared", () => {
  const view = boxes(
    put(Box, { id: "a", lid: null }),
    put(Part, { id: "p", box: "a", near: "q", unless: "a" }),
    put(Part, { id: "q", box: "a", near: "p", unless: "a" }),
  );
  assert.deepEqual(deletionPlan(view, Box, "a", things), {
    outcome: "planned",
    changes: [remove(Part, "q"), remove(Part, "p"), remove(Box, "a")],
  });
  assert.equal(deletionPlan(view, Part, "p", things).outcome, "refused");
});

test("carrying out any plan leaves no reference dangling and no key taken", () => {
  fc.assert(
    fc.property(randomHistory(), fc.nat(0xffff), (steps, pick) => {
      const view = world(...steps.flatMap((step) => step.changes));
      const objects = [...view.snapshot()].filter(({ kind }) => kind !== "attachment");
      assert.deepEqual(violationsOf(view, objects), [], "a history of the default kind is whole");
      const chosen = objects[pick % objects.length];
      const kind = resources.find((each) => each.kind === chosen?.kind);
      assert.ok(chosen !== undefined && kind !== undefined);
      const plan = deletionPlan(view, kind, chosen.id);
      if (plan.outcome === "refused") {
        for (const { holder, field: name, target } of plan.refusedBy) {
          const holding = objects.find(({ kind: of, id }) => of === holder.kind && id === holder.id)?.object;
          assert.ok(JSON.stringify(holding).includes(`"${name}":"${target.id}"`));
        }
        return;
      }
      assert.deepEqual(judge(view, ...plan.changes), []);
      assert.deepEqual(plan.changes.at(-1), { kind: chosen.kind, id: chosen.id, object: null });
    }),
    { numRuns: 80 },
  );
});
