/** Plans against a model of a switch: after any changes it holds what a fresh adoption would give it, and adoption repairs any damage. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  act,
  type Bucket,
  type Flow,
  type GroupDescription,
  type Message,
  type MeterConfig,
  type Statistics,
} from "@selvage/openflow";
import {
  Classify,
  Deliver,
  FloodLocal,
  FloodRemote,
  GuardMac,
  L2,
  Mcast,
  Neighbour,
  NextHops,
  PolicyIn,
  type Row,
  row,
  Sender,
  selvageProgram,
} from "@selvage/pipeline";
import fc from "fast-check";
import { type AdoptionPlan, planAdoption, type Survey } from "./adoption.ts";
import { Allocator } from "./allocator.ts";
import { UnrenderableRows } from "./errors.ts";
import type { Installation } from "./installation.ts";
import { flowBody, flowKey, type Plan } from "./plan.ts";
import { type PluggedPort, Ports } from "./ports.ts";
import { Renderer } from "./render.ts";
import { bucketText, choiceText } from "./text.ts";

const noStatistics: Statistics = { seconds: null, idleSeconds: null, flows: null, packets: null, bytes: null };
const renderer = new Renderer(selvageProgram);

/** What a switch keeps; refuses what a real one refuses. */
class ModelSwitch implements Survey {
  readonly #flows = new Map<string, Flow>();
  readonly #groups = new Map<number, Map<number, Bucket>>();
  readonly #kinds = new Map<number, Pick<GroupDescription, "type" | "selection">>();
  readonly #meters = new Map<number, MeterConfig>();

  get flows(): readonly Flow[] {
    return [...this.#flows.values()];
  }

  get groups(): readonly GroupDescription[] {
    return [...this.#groups].map(([group, buckets]) => ({
      group,
      buckets: [...buckets.values()],
      ...(this.#kinds.get(group) ?? { type: "all", selection: null }),
    }));
  }

  get meters(): readonly MeterConfig[] {
    return [...this.#meters.values()];
  }

  /** Everything, as text that is equal when switches are; groups by the flow that leads to them. */
  get text(): readonly string[] {
    const members = new Map(
      this.groups.map((each) => [each.group, `${choiceText(each)} ${each.buckets.map(bucketText).sort().join(" ")}`]),
    );
    const flows = this.flows.map((flow) => {
      const actions = flow.instructions.flatMap((each) => (each.kind === "apply" ? each.actions : []));
      const [first] = actions;
      const body =
        first?.kind === "group"
          ? `group of ${members.get(first.group)}`
          : flowBody(
              flow.cookie,
              flow.flags & 1,
              actions.filter(({ kind }) => kind !== "meter"),
            );
      return `${flowKey(flow)} ${body}`;
    });
    return [...flows, `${this.#groups.size} groups`, `${this.#meters.size} meters`].sort();
  }

  run(plan: Plan): this {
    for (const message of [...plan.metersFirst, ...plan.messages, ...plan.metersLast]) this.#take(message);
    for (const { instructions } of this.flows) {
      for (const action of instructions.flatMap((each) => (each.kind === "apply" ? each.actions : []))) {
        if (action.kind === "group") assert.ok(this.#groups.has(action.group), `a flow leads to group ${action.group}`);
        if (action.kind === "meter") assert.ok(this.#meters.has(action.meter), `a flow leads to meter ${action.meter}`);
      }
    }
    return this;
  }

  /** Takes one thing away or twists it, by chance. */
  damage(chance: number): void {
    const flows = [...this.#flows];
    const [key, flow] = flows[chance % flows.length] ?? assert.fail();
    switch (chance % 7) {
      case 5: {
        // A clause is lost, and one is there that nobody asked for.
        const [at, merged] = flows.find(([, each]) => actionsIn(each)[0]?.kind === "conjunction") ?? [];
        if (at === undefined || merged === undefined) break;
        const rest = [...actionsIn(merged).slice(1), act.conjunction(7777, 0, 2)];
        this.#flows.set(at, { ...merged, instructions: [{ kind: "apply", actions: rest }] });
        break;
      }
      case 6: {
        const [number] = this.#groups.keys();
        if (number !== undefined) this.#kinds.set(number, { type: "indirect", selection: null });
        break;
      }
      case 0:
        this.#flows.delete(key);
        break;
      case 1:
        this.#flows.set(key, { ...flow, cookie: flow.cookie ^ 1n });
        break;
      case 2: {
        const foreign = { ...flow, table: (chance % 200) + 1, priority: 77, cookie: 5n };
        this.#flows.set(flowKey(foreign), foreign);
        break;
      }
      case 3: {
        const [group] = [...this.#groups.values()];
        const [id] = group?.keys() ?? [];
        if (id !== undefined) group?.delete(id);
        break;
      }
      default:
        this.#groups.set(chance + 1000, new Map());
        this.#meters.set(chance + 1000, { meter: chance + 1000, flags: 0, bands: [] });
    }
  }

  #take(message: Message): void {
    switch (message.kind) {
      case "flowMod": {
        const key = flowKey(message);
        if (message.command === "deleteStrict") assert.ok(this.#flows.delete(key), `${key} is there to be taken away`);
        else this.#flows.set(key, { ...message, statistics: noStatistics, cookie: BigInt(message.cookie) });
        break;
      }
      case "groupMod": {
        const held = this.#groups.get(message.group);
        switch (message.command) {
          case "add":
            assert.equal(held, undefined, `group ${message.group} is new`);
            this.#kinds.set(message.group, { type: message.type, selection: message.selection });
            this.#groups.set(message.group, new Map());
            this.#insert(message.group, message.buckets);
            break;
          case "modify":
            this.#kinds.set(message.group, { type: message.type, selection: message.selection });
            this.#groups.set(message.group, new Map());
            this.#insert(message.group, message.buckets);
            break;
          case "insertBucket":
            assert.equal(this.#kinds.get(message.group)?.type, message.type, "a real switch wants the type said");
            this.#insert(message.group, message.buckets);
            break;
          case "removeBucket":
            assert.ok(held?.delete(message.bucket), `bucket ${message.bucket} is there`);
            break;
          case "delete":
            assert.ok(this.#groups.delete(message.group), `group ${message.group} is there`);
            break;
          default:
            assert.fail(message.command);
        }
        break;
      }
      case "meterMod":
        assert.equal(this.#meters.has(message.meter), message.command !== "add", `meter ${message.meter}`);
        if (message.command === "delete") this.#meters.delete(message.meter);
        else this.#meters.set(message.meter, message);
        break;
      default:
        assert.fail(message.kind);
    }
  }

  #insert(group: number, buckets: readonly Bucket[]): void {
    const held = this.#groups.get(group) ?? assert.fail(`group ${group} is there`);
    for (const bucket of buckets) {
      assert.ok(!held.has(bucket.id), `bucket ${bucket.id} is new`);
      held.set(bucket.id, bucket);
    }
  }
}

const actionsIn = (flow: Flow) => flow.instructions.flatMap((each) => (each.kind === "apply" ? each.actions : []));

const byId = (rows: Iterable<Row>): ReadonlyMap<string, Row> => new Map([...rows].map((each) => [each.id, each]));
const adopt = (model: ModelSwitch, rows: Iterable<Row>, ports: Ports): Promise<AdoptionPlan> =>
  planAdoption(renderer, byId(rows), ports, model);

async function fresh(rows: Iterable<Row>, ports: Ports): Promise<{ model: ModelSwitch; installation: Installation }> {
  const model = new ModelSwitch();
  const { plan, installation } = await adopt(model, rows, ports);
  model.run(plan);
  return { model, installation };
}

const plugged = (port: number, ofport: number): PluggedPort => ({ port: `port-${port}`, name: `tap${port}`, ofport });
const member = (net: number, port: number): Row => row(FloodLocal, { net, port }, "copy", { port });
const counts = (plan: Plan) => plan.messages.map((each) => ("command" in each ? each.command : each.kind));

const anyRow: fc.Arbitrary<Row> = fc
  .tuple(fc.nat(17), fc.nat(3), fc.nat(3), fc.nat(2))
  .map(([kind, n, net, variant]): Row => {
    const mac = `fa:16:3e:00:00:0${variant}`;
    const rule = n + 1;
    switch (kind) {
      case 10:
        return row(Sender, { srcPort: n }, "policed", { set: variant, zone: `port-${net}` });
      case 11:
        return row(NextHops, { vrf: 1, route: net, hop: n }, "via", { net, mac, nh: `10.0.0.${variant}` });
      case 12:
        return row(PolicyIn, { rule }, "allow", { rule, generation: variant }, "verdict");
      case 13:
        // Of both families, and of a rule whose number of parts changes.
        return row(PolicyIn, { rule, ipProto: 6 + net }, "clause", { of: 2 + (variant % 2) }, "service");
      case 14:
        return row(PolicyIn, { rule, ip4Src: `10.${net}.0.0/16` }, "clause", { of: 3 }, "remote");
      case 15:
        // The same match as another row of the same rule.
        return row(PolicyIn, { rule, ethType: 0x0800, ip4Src: `0.0.0.0/0` }, "clause", { of: 3 }, "remote");
      case 16:
        return row(PolicyIn, { rule, ethType: 0x0800 }, "clause", { of: 3 }, "remote");
      case 17:
        return row(PolicyIn, { rule, dstSet: net }, "clause", { of: 2 + (variant % 2) }, "own");
      case 0:
        return variant === 0
          ? row(Classify, { ingress: `port-${n}` }, "portDown")
          : row(Classify, { ingress: `port-${n}` }, "machine", { port: n, net: variant });
      case 1:
        return variant === 0
          ? row(Deliver, { port: n }, "portDown")
          : row(Deliver, { port: n }, "output", { port: `port-${variant}` });
      case 2:
        return row(Neighbour, { net, nh: `10.0.0.${n}` }, "known", { mac });
      case 3:
        return row(L2, { net, ethDst: `fa:16:3e:00:01:0${n}/ff:ff:ff:ff:ff:ff` }, "local", { port: variant }, "port");
      case 4:
        return row(Mcast, { net }, "flood");
      case 5:
        return row(GuardMac, { srcPort: n, ethSrc: mac }, "pass", {}, "mac");
      case 6:
        return row(FloodRemote, { net, host: n }, "copy", { host: variant });
      default:
        return row(FloodLocal, { net, port: n }, "copy", { port: variant });
    }
  });
const anyPorts = fc
  .tuple(
    fc.uniqueArray(fc.nat(3), { maxLength: 4 }),
    fc.nat(2),
    fc.boolean(),
    fc.uniqueArray(fc.nat(3), { maxLength: 4 }),
  )
  .map(
    ([ports, shift, tunnel, zones]) =>
      new Ports(
        ports.map((port) => plugged(port, 1 + port + shift)),
        tunnel ? 20 : undefined,
        undefined,
        new Map(zones.map((port) => [`port-${port}`, 64 + port + shift])),
      ),
  );
type Turn =
  | { readonly do: "change"; readonly gone: readonly Row[]; readonly put: readonly Row[] }
  | { readonly do: "move"; readonly ports: Ports };
const anyTurn: fc.Arbitrary<Turn> = fc.oneof(
  fc.record({
    do: fc.constant("change" as const),
    gone: fc.array(anyRow, { maxLength: 12 }),
    put: fc.array(anyRow, { maxLength: 12 }),
  }),
  fc.record({ do: fc.constant("move" as const), ports: anyPorts }),
);

describe("an installation", () => {
  test("after any changes the switch holds what a fresh adoption gives", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyTurn, { minLength: 1, maxLength: 12 }), async (turns) => {
        const { model, installation } = await fresh([], Ports.none);
        const rows = new Map<string, Row>();
        for (const turn of turns) {
          if (turn.do === "move") model.run(installation.moveTo(turn.ports));
          else {
            const put = [...byId(turn.put).values()];
            model.run(installation.change(turn.gone, put));
            for (const { id } of turn.gone) rows.delete(id);
            for (const each of put) rows.set(each.id, each);
          }
          const expected = await fresh(rows.values(), installation.ports);
          assert.deepEqual(model.text, expected.model.text);
        }
        const again = await adopt(model, rows.values(), installation.ports);
        assert.ok(again.plan.isEmpty, "and adopting it changes nothing");
        assert.equal(again.adoption.kept, rows.size);
      }),
      { numRuns: 150 },
    );
  });

  test("adoption repairs any damage, and says how much there was", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyRow, { maxLength: 30 }),
        anyPorts,
        fc.array(fc.nat(10_000), { maxLength: 8 }),
        async (given, ports, damages) => {
          const rows = [...byId(given).values()];
          const { model } = await fresh(rows, ports);
          const whole = model.text;
          for (const chance of damages) model.damage(chance);
          const { plan, adoption } = await adopt(model, rows, ports);
          assert.deepEqual(model.run(plan).text, whole);
          assert.equal(adoption.added + adoption.changed + adoption.kept, rows.length);
          assert.deepEqual((await adopt(model, rows, ports)).adoption, {
            added: 0,
            changed: 0,
            removed: 0,
            kept: rows.length,
          });
        },
      ),
      { numRuns: 150 },
    );
  });

  test("a member that joins or leaves is one bucket, whatever the size of the set", async () => {
    const many = Array.from({ length: 500 }, (_, n) => member(1, n));
    const { model, installation } = await fresh(many.slice(1), Ports.none);
    assert.deepEqual(counts(installation.change([], many.slice(0, 1))), ["insertBucket"]);
    assert.deepEqual(counts(installation.change(many.slice(7, 8), [])), ["removeBucket"]);
    assert.equal(model.groups[0]?.buckets.length, 499);
    const all = installation.change(many, []);
    assert.deepEqual(counts(all), ["deleteStrict", "delete"], "the last of them takes the group away");
    assert.deepEqual(counts(installation.change([], many.slice(0, 1))), ["add", "add"]);
  });

  test("a group that is used again has the lowest free number", async () => {
    const { installation, model } = await fresh([member(1, 1), member(2, 1)], Ports.none);
    model.run(installation.change([member(1, 1)], [member(3, 1)]));
    assert.deepEqual(model.groups.map(({ group }) => group).sort(), [2, 3]);
    model.run(installation.change([], [member(4, 1)]));
    assert.deepEqual(model.groups.map(({ group }) => group).sort(), [1, 2, 3]);
  });

  test("rows wait for their interfaces, follow them and let go of them", async () => {
    const rows = [
      row(Classify, { ingress: "port-1" }, "machine", { port: 1, net: 1 }),
      row(Deliver, { port: 1 }, "output", { port: "port-1" }),
    ];
    const { installation, model } = await fresh(rows, Ports.none);
    const empty = model.text;
    const inPorts = () =>
      model.flows
        .flatMap(({ table, match }) => (table === 0 ? match : []))
        .map((item) => ("value" in item ? item.value : item));
    model.run(installation.moveTo(new Ports([plugged(1, 4)], undefined)));
    assert.deepEqual(inPorts(), [4]);
    const plan = installation.moveTo(new Ports([plugged(1, 9)], undefined));
    assert.ok(plan.mustBeAtomic, "a port that moves is in one place");
    model.run(plan);
    assert.deepEqual(inPorts(), [9]);
    model.run(installation.moveTo(Ports.none));
    assert.deepEqual(model.text, empty);
    assert.equal(installation.rows.size, rows.length + selvageProgram.constants.length, "the rows wait again");
  });

  test("a rule in the place of another is one change, and touches only the flows of its clauses", async () => {
    const clauses = (rule: number) => [
      row(PolicyIn, { rule, dstSet: 5 }, "clause", { of: 2 }, "own"),
      row(PolicyIn, { rule, ipProto: 1, ethType: 0x0800 }, "clause", { of: 2 }, "service"),
      row(PolicyIn, { rule }, "allow", { rule, generation: 0 }, "verdict"),
    ];
    const others = [row(PolicyIn, { rule: 3, dstSet: 6 }, "clause", { of: 2 }, "own"), ...clauses(4)];
    const { installation, model } = await fresh([...clauses(1), ...others], Ports.none);
    const swap = installation.change(clauses(1), clauses(2));
    assert.ok(swap.mustBeAtomic);
    assert.equal(swap.messages.length, 4, "two flows of clauses, a verdict that comes and one that goes");
    model.run(swap);
    const gone = installation.change(clauses(2), []);
    assert.ok(gone.mustBeAtomic);
    assert.equal(gone.messages.length, 3);
    model.run(gone);
    assert.deepEqual(model.text, (await fresh(others, Ports.none)).model.text);
    const first = (plan: Plan) => plan.messages.find((each) => each.kind === "flowMod");
    const last = installation.change(clauses(4), []);
    assert.ok(
      first(last)?.match.some(({ field }) => field === "conj_id"),
      "the verdict goes first",
    );
  });

  test("of a flow that lacks a clause the row is told", async () => {
    const own = (rule: number) => row(PolicyIn, { rule, dstSet: 5 }, "clause", { of: 2 }, "own");
    const { model } = await fresh([own(1), own(2)], Ports.none);
    model.damage(5);
    const { adoption } = await adopt(model, [own(1), own(2)], Ports.none);
    const { differences, ...counts } = adoption;
    assert.deepEqual(counts, { added: 1, changed: 0, removed: 1, kept: 1 });
    assert.deepEqual(
      differences?.map(({ what, row: id }) => [what, id]),
      [
        ["missing", own(1).id],
        ["foreign", null],
      ],
    );
    assert.match(differences?.[0]?.wanted ?? "", /conjunction\(1,1\/2\),conjunction\(2,1\/2\)/);
    assert.match(differences?.[0]?.found ?? "", /actions=conjunction\(2,1\/2\),conjunction\(7777,1\/2\)/);
  });

  test("another port in the same place is not taken for the one before", async () => {
    const rows = [1, 2].map((n) => row(Classify, { ingress: `port-${n}` }, "machine", { port: n, net: n }));
    const { installation, model } = await fresh(rows, new Ports([plugged(1, 4)], undefined));
    model.run(installation.moveTo(new Ports([plugged(2, 4)], undefined)));
    const [flow] = model.flows.filter(({ table, match }) => table === 0 && match.length > 0);
    assert.equal(flow?.cookie, renderer.cookieOf(rows[1] ?? assert.fail()));
  });

  test("what could mislead a packet half done is atomic, the rest is not", async () => {
    const a = row(Neighbour, { net: 1, nh: "10.0.0.1" }, "known", { mac: "fa:16:3e:00:00:01" });
    const b = row(Neighbour, { net: 1, nh: "10.0.0.2" }, "known", { mac: "fa:16:3e:00:00:02" });
    const other = row(Neighbour, { net: 1, nh: "10.0.0.1" }, "known", { mac: "fa:16:3e:00:00:03" });
    const { installation } = await fresh([], Ports.none);
    assert.equal(installation.change([], [a, b]).mustBeAtomic, false, "only additions");
    assert.equal(installation.change([], [other]).mustBeAtomic, false, "one flow replaces itself");
    assert.equal(installation.change([b], [a]).mustBeAtomic, true, "one goes and one changes");
    assert.equal(installation.change([], [a]).isEmpty, true, "what is so already");
    assert.equal(installation.change([a], []).mustBeAtomic, false, "only removals");
    assert.equal(installation.change([a], []).isEmpty, true, "what is not there");
  });

  test("a drop that becomes something else is told before it goes", async () => {
    const down = row(Deliver, { port: 1 }, "portDown");
    const up = row(Deliver, { port: 1 }, "output", { port: "port-1" });
    const { installation, model } = await fresh([down], new Ports([plugged(1, 4)], undefined));
    const plan = installation.change([], [up]);
    assert.deepEqual(counts(plan), ["deleteStrict", "add"]);
    assert.ok(plan.mustBeAtomic);
    model.run(plan);
    const other = installation.change([], [row(Deliver, { port: 1 }, "networkDown")]);
    assert.deepEqual(counts(other), ["add"]);
  });

  test("rows that cannot be rendered are named, all of them, and change nothing", async () => {
    const good = row(Neighbour, { net: 1, nh: "10.0.0.1" }, "known", { mac: "fa:16:3e:00:00:01" });
    const bad = [1, 2].map((n) => ({ ...good, id: `bad ${n}`, key: { net: 0x1000000, nh: "10.0.0.1" } }));
    const { installation, model } = await fresh([], Ports.none);
    const before = model.text;
    const named = (error: unknown) =>
      error instanceof UnrenderableRows && [...error.faults.keys()].join() === "bad 1,bad 2";
    assert.throws(() => installation.change([], [good, ...bad]), named);
    assert.equal(installation.rows.has(good.id), false);
    await assert.rejects(() => adopt(model, [good, ...bad], Ports.none), named);
    assert.deepEqual(model.run(installation.change([], [])).text, before);
  });
});

describe("an allocator", () => {
  test("numbers are distinct, kept while held, the lowest free, and claimed ones are respected", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom("of", "free", "claim"), fc.nat(12), fc.integer({ min: 0, max: 25 }))),
        (steps) => {
          const allocator = new Allocator(20);
          const held = new Map<string, number>();
          for (const [what, n, number] of steps) {
            const key = `key ${n}`;
            const taken = new Set(held.values());
            if (what === "free") {
              allocator.free(key);
              held.delete(key);
            } else if (what === "claim") {
              allocator.claim(key, number);
              if (number >= 1 && number <= 20 && !held.has(key) && !taken.has(number)) held.set(key, number);
            } else {
              const lowest = Array.from({ length: 20 }, (_, i) => i + 1).find((each) => !taken.has(each));
              const expected = held.get(key) ?? lowest;
              assert.equal(allocator.of(key), expected);
              if (expected !== undefined) held.set(key, expected);
            }
          }
          assert.deepEqual(allocator.keys().toSorted(), [...held.keys()].sort());
        },
      ),
    );
  });

  test("none left is an error, and one given back can be had", () => {
    const allocator = new Allocator(1);
    assert.equal(allocator.of("a"), 1);
    assert.throws(() => allocator.of("b"), RangeError);
    allocator.free("a");
    assert.equal(allocator.of("b"), 1);
  });
});
