/**
 * Golden text: what each app makes of one small intent on host h1, kept in `packages/compiler/golden/<app>.txt` and read in review.
 * After a change that is meant, write the files anew with `UPDATE_GOLDEN=1` in the environment of the tests, and look at the difference.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Attachment, Engine, type Host } from "@selvage/model";
import { put } from "@selvage/model/testing";
import { type Row, rowText } from "@selvage/pipeline";
import type { App } from "../app.ts";
import { hostsOf, intentOf, net } from "./intent.ts";

/**
 * On h1 of three hosts (the third has not said where its tunnels end): a network of both families with ports as they come, one
 * down, one without port security, one that is not plugged; a network that is down; a network that has no machine here; and one of VXLAN.
 */
export function goldenRows(app: App): readonly Row[] {
  const hosts = hostsOf(3).map((host): Host => (host.name === "h3" ? { ...host, tunnel_ip: null } : host));
  const { changes, plugged } = intentOf(hosts, [
    net("blue", {
      here: "h1",
      there: "h2",
      nowhere: "h3",
      down: { host: "h1", port: { admin_state_up: false } },
      open: { host: "h1", port: { port_security_enabled: false } },
      unplugged: { host: "h1", plugged: false },
      unbound: { host: "", plugged: false },
    }),
    net(
      "dark",
      { lone: "h1" },
      { cidr6: "2001:db8:1::/64", network: { admin_state_up: false }, subnet4: { enable_dhcp: false } },
    ),
    net("far", { stranger: "h2" }),
    net("plain", { left: "h1", right: "h2" }, { network: { "provider:network_type": "vxlan" } }),
  ]);
  const engine = new Engine<Row>({ derivations: app.derivations({ name: "h1" }) });
  const facts = plugged.filter(({ host }) => host === "h1").map(({ port }) => put(Attachment, { id: port }));
  engine.apply([...changes, ...facts], 1);
  assert.deepEqual([...engine.quarantined.keys()], []);
  assert.deepEqual(engine.conflicts(), []);
  return [...engine.rows()];
}

/** Compares an app's rows with its golden file. */
export function assertGolden(app: App): void {
  const rows = goldenRows(app);
  const tables = new Set(app.tables.map(({ name }) => name));
  for (const row of rows) assert.ok(tables.has(row.table), `${app.name} may not write ${row.table}`);
  const text = `${rows.map(rowText).sort().join("\n")}\n`;
  const path = join(import.meta.dirname, "../../golden", `${app.name}.txt`);
  if (process.env.UPDATE_GOLDEN === "1") writeFileSync(path, text);
  assert.equal(text, readFileSync(path, "utf8"));
}
