/** What another hand does to a host's switch is found by the agent's audit, told with its difference, and mended; traffic that it does not concern loses nothing. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Drift } from "@selvage/sync";
import { guest, metric, patience, Rig } from "./rig.ts";

const [red, blue] = [guest(1, 0), guest(2, 1)];
/** On the host that is meddled with; its machine is not part of the ping. */
const other = guest(3, 0);
/** The shortest that an operator may set, ms. */
const auditInterval = 1_000;

let rig: Rig;
before(async () => {
  rig = await Rig.start([red, blue, other], { auditInterval });
});
after(() => rig?.[Symbol.asyncDispose]());

/** The flows of the first host. That a replaced one once had its counts reset is no part of it. */
async function flows(): Promise<ReadonlySet<string>> {
  const dump = await rig.site(0).host.ofctl("dump-flows", "--no-stats");
  return new Set(
    dump.split("\n").flatMap((line) => (line.includes("cookie=") ? [line.replace("reset_counts ", "").trim()] : [])),
  );
}

/** What is in one and not in the other: small, where two dumps would be large. */
function differing(one: ReadonlySet<string>, two: ReadonlySet<string>): readonly string[] {
  return [...[...one].filter((flow) => !two.has(flow)), ...[...two].filter((flow) => !one.has(flow))];
}

/** A flow as ovs-ofctl takes it: its match with its priority, for `--strict`. */
const matchOf = (flow: string): string =>
  flow
    .replace(/^cookie=0x[0-9a-f]+, /, "")
    .replace(/ actions=.*$/, "")
    .replace("send_flow_rem ", "")
    .replaceAll(", ", ",");

/** Does something to the switch of the first host and gives what its agent then tells of it. */
async function meddle(what: string, deed: () => Promise<unknown>, wanted: (drift: Drift) => boolean): Promise<Drift> {
  const { facts } = rig.site(0);
  const before = facts.all.length;
  await deed();
  const told = await facts.first(({ drift = [] }) => drift.some(wanted), `${what} is told`, patience, before);
  const found = told.drift?.findLast(wanted);
  assert.ok(found !== undefined);
  return found;
}

test("removed and changed flows, a bucket that is gone, strangers, meters: each is told with its difference and mended, and a ping beside it loses nothing", {
  timeout: 600_000,
}, async (context) => {
  const { host, metrics, lines, agent } = rig.site(0);
  const left = await host.plugMachine(red.id, red.mac, [`${red.ip4}/24`, `${red.ip6}/64`]);
  const right = await rig.site(1).host.plugMachine(blue.id, blue.mac, [`${blue.ip4}/24`, `${blue.ip6}/64`]);
  await host.plugWire(other.id, () => undefined);
  await Promise.all([rig.up(0, red.id, other.id), rig.up(1, blue.id)]);
  await left.exec("ping", "-c", "1", "-W", "5", blue.ip4);
  await left.exec("ping", "-6", "-c", "1", "-W", "5", blue.ip6);
  assert.equal(await metric(metrics, "drift_rows_total"), 0, "what the agent does itself is no drift");
  const asLeft = await flows();

  // Until it is ended: whatever is found and mended meanwhile, its own rows are left alone.
  const pinged = right.exec(
    "sh",
    "-c",
    `ping -n -i 0.02 -W 2 -w 90 -q ${red.ip4} & echo $! >&2; p=$!; while [ ! -e ${host.directory}/stop ]; do sleep 0.1; kill -0 $p || exit 0; done; kill -INT $p; wait $p; true`,
  );

  const bears = (flow: string, { mac }: { readonly mac: string }): boolean => flow.includes(mac);
  const [gone = "", altered = ""] = [...asLeft].filter(
    (flow) => bears(flow, other) && !bears(flow, red) && !bears(flow, blue),
  );
  assert.notEqual(altered, "", "the other machine has rows of its own");
  const cookieOf = (flow: string): string => /cookie=0x[0-9a-f]+,/.exec(flow)?.[0] ?? "";
  const missing = await meddle(
    "a removed flow",
    () => host.ofctl("del-flows", "--strict", matchOf(gone)),
    ({ what, wanted }) => what === "missing" && (wanted ?? "").startsWith(cookieOf(gone)),
  );
  assert.equal(missing.found, null);
  assert.notEqual(missing.row, null, "the row is named");

  const changed = await meddle(
    "a changed flow",
    () => host.ofctl("mod-flows", "--strict", `${matchOf(altered)} actions=drop`),
    ({ what, found }) => what === "changed" && (found ?? "").endsWith("actions=drop"),
  );
  assert.ok(changed.wanted?.startsWith(cookieOf(altered)));
  assert.notEqual(changed.row, null);

  const foreign = await meddle(
    "a foreign flow",
    () => host.ofctl("add-flow", "table=0,priority=7,eth_type=0x88cc,idle_timeout=600 actions=drop"),
    ({ what, found }) => what === "foreign" && (found ?? "").includes("table=0, priority=7"),
  );
  assert.deepEqual([foreign.row, foreign.wanted], [null, null]);

  const groups = (await host.ofctl("dump-groups")).split("\n").filter((line) => line.includes("bucket="));
  assert.ok(groups.length > 0, "the network's copies go by a group");
  const [group = ""] = groups;
  const number = /group_id=(\d+)/.exec(group)?.[1] ?? "";
  const bucket = /bucket_id:(\d+)/.exec(group)?.[1] ?? "";
  const lost = await meddle(
    "a bucket that is gone",
    () => host.ofctl("remove-buckets", `group_id=${number},command_bucket_id=${bucket}`),
    ({ what, wanted }) => what === "missing" && (wanted ?? "").startsWith(`group_id=${number},`),
  );
  assert.match(lost.wanted ?? "", new RegExp(`bucket_id:${bucket},`));

  await meddle(
    "a foreign group",
    () => host.ofctl("add-group", "group_id=4000000,type=all,bucket=bucket_id:1,actions=drop"),
    ({ what, found }) => what === "foreign" && (found ?? "").startsWith("group_id=4000000,"),
  );
  const meter = /meter=(\d+)/.exec(
    (await host.ofctl("dump-meters")).split("\n").find((line) => /meter=\d\d/.test(line)) ?? "",
  );
  assert.ok(meter !== null, "each port has meters");
  await meddle(
    "a meter that lets everything pass",
    () =>
      host.ofctl("mod-meter", `meter=${meter[1]},pktps,burst,stats,bands=type=drop,rate=1000000,burst_size=1000000`),
    ({ what, found }) => what === "changed" && (found ?? "").startsWith(`meter=${meter[1]} `),
  );

  await host.exec("touch", `${host.directory}/stop`);
  const summary = await pinged;
  const counts = /(\d+) packets transmitted, (\d+) received/.exec(summary);
  assert.ok(counts !== null, summary);
  const [sent, received] = [Number(counts[1]), Number(counts[2])];
  context.diagnostic(`ping of 20 ms while six things were mended: ${sent} sent, ${received} received`);
  assert.ok(sent > 100);
  // What was sent within one round trip before the sender is ended may be on its way.
  const longest = Number(/= [\d.]+\/[\d.]+\/([\d.]+)\//.exec(summary)?.[1]);
  assert.ok(sent - received <= Math.ceil(longest / 20), summary);

  assert.deepEqual(differing(await flows(), asLeft), [], "everything is as it was left, to the last flow");
  assert.ok((await metric(metrics, "drift_rows_total")) >= 6);
  assert.ok(agent.status.drift.length >= 6);
  const warnings = lines.all.filter((line) => line.includes("the switch did not hold what was installed"));
  assert.ok(warnings.length >= 5, "each is in the log");
  assert.ok(
    warnings.some((line) => line.includes("priority=7") && line.includes("foreign")),
    "with its difference",
  );
  assert.deepEqual([...(rig.site(1).agent.status.drift ?? [])], [], "the other host's switch was left alone");
});

test("a switch that was emptied whole is found and filled again", { timeout: 600_000 }, async () => {
  const { host } = rig.site(0);
  const before = await flows();
  await meddle(
    "that all flows are gone",
    () => host.ofctl("del-flows"),
    ({ what, wanted }) => what === "missing" && (wanted ?? "").includes(" table=0,"),
  );
  assert.deepEqual(differing(await flows(), before), []);
});
