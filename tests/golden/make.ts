/** Writes the golden deployment of the present schema: `node tests/golden/make.ts FILE.sql`. Two tenants, both families, two hosts, a token in waiting. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startTestServer } from "@selvage/server/testing";
import { dumpOf } from "./dump.ts";

const [target] = process.argv.slice(2);
if (target === undefined) throw new Error("name the file to write");
const dataDir = mkdtempSync(join(tmpdir(), "golden-"));
try {
  const server = await startTestServer({ dataDir, on: "sqlite" });
  for (const name of ["h1", "h2"]) await server.host(name);
  for (const name of ["red", "blue"]) {
    const { member } = await server.project(name);
    const { id } = await member.create("network", { name: `${name}-net` });
    await member.create("subnet", { network_id: id, ip_version: 4, cidr: "10.0.0.0/24", name: `${name}-v4` });
    await member.create("subnet", { network_id: id, ip_version: 6, cidr: "fd00:77::/64", name: `${name}-v6` });
    for (const at of [1, 2]) {
      const port = await member.create("port", { network_id: id, name: `${name}-${at}` });
      await server.admin.put(`/v2.0/ports/${port.id}`, { port: { "binding:host_id": `h${at}` } });
    }
  }
  const password = server.adminPassword;
  await server.running.close();
  const alone = join(dataDir, "copy.db");
  copyFileSync(join(dataDir, "store.db"), alone);
  writeFileSync(target, dumpOf(alone));
  process.stdout.write(`${target}: the admin's password is ${password}\n`);
} finally {
  rmSync(dataDir, { recursive: true, force: true });
}
