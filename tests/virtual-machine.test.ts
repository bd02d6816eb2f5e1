/**
 * A real virtual machine on a running fabric: Debian's kernel under QEMU, on a tap of a host's switch as a hypervisor makes it, boots, gets its addresses and its
 * metadata by itself, and reaches outside.
 */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { at } from "@selvage/lab";
import { until, whyNoLab } from "@selvage/lab/testing";
import { Fabric } from "./support/guests.ts";
import { bootFiles, machineWords, results } from "./support/virtual-machine.ts";
import { far, gatewayOf, leadBack, makeBehind, makePublic, pairOf } from "./support/way-out.ts";

const skip = (await whyNoLab()) ?? false;
/** The processor is emulated, by a machine that does other things too. */
const WAIT_MS = 300_000;
const HOST = "h1";
const TAP = "vm0";
const DEVICE = "33333333-3333-4333-8333-333333333333";

/** A network behind a router with a gateway on the physical network. Gives the network's id. */
async function network(fabric: Fabric): Promise<string> {
  const { inner, router } = await makeBehind(fabric, await makePublic(fabric), 7);
  await leadBack(fabric, 7, (await gatewayOf(fabric, router)).ip6);
  return inner;
}

/** Makes a tap on the host and puts it on the switch for the port, as a hypervisor does. */
async function plugTap(fabric: Fabric, id: string, mac: string): Promise<void> {
  const place = { room: { kind: "host", name: HOST } } as const;
  for (const words of [
    ["tuntap", "add", "dev", TAP, "mode", "tap"],
    ["link", "set", TAP, "addrgenmode", "none", "up"],
  ]) {
    const { code, said } = await fabric.run(place, "ip", ...words);
    assert.equal(code, 0, said);
  }
  const database = `--db=unix:${join(fabric.data, "hosts", HOST, "run", "db.sock")}`;
  const { code, said } = await fabric.run(
    ...([place, "ovs-vsctl", database, "add-port", "br-int", TAP, "--", "set", "Interface", TAP] as const),
    ...[`external_ids:iface-id=${id}`, `external_ids:attached-mac="${mac}"`, "external_ids:iface-status=active"],
  );
  assert.equal(code, 0, said);
}

describe("a virtual machine", { skip }, () => {
  test("boots, gets its addresses and its metadata by itself, and reaches outside", async (context) => {
    const place = await mkdtemp(join(tmpdir(), "selvage-boot-"));
    context.after(() => rm(place, { recursive: true, force: true }));
    const files = await bootFiles(place);
    await using fabric = await Fabric.up("machine");
    const network_id = await network(fabric);
    const fields = { name: "virtual", network_id, device_id: DEVICE, device_owner: "compute:nova" };
    const made = at(await fabric.api.ask("POST", "/v2.0/ports", { port: fields }), "port");
    const [id, mac] = [String(at(made, "id")), String(at(made, "mac_address"))];
    const { ip4, ip6 } = pairOf(at(made, "fixed_ips"));
    await fabric.api.ask("PUT", `/v2.0/ports/${id}`, { port: { "binding:host_id": HOST } });
    await plugTap(fabric, id, mac);
    await until("the port is not up", WAIT_MS, async () => {
      const now = at(await fabric.api.ask("GET", `/v2.0/ports/${id}`), "port");
      return at(now, "status") === "ACTIVE" ? true : undefined;
    });
    await fabric.settled();

    const started = performance.now();
    await using machine = fabric.start(
      { room: { kind: "host", name: HOST } },
      ...machineWords({ files, tap: TAP, mac, far }),
    );
    await until("the machine is not done", WAIT_MS, async () => (machine.hasEnded ? true : undefined)).catch(
      (cause: unknown) => assert.fail(`${cause}; its console: ${machine.said}`),
    );
    const said = results(machine.said);
    const value = (name: string): string => said.get(name) ?? assert.fail(`no ${name}: ${machine.said}`);
    const seconds = (performance.now() - started) / 1_000;
    context.diagnostic(
      `Linux ${value("kernel")}: booted in ${value("booted")} s, powered off after ${seconds.toFixed(1)} s`,
    );

    assert.equal(value("mac"), mac);
    assert.equal(value("address4"), `${ip4}/24`, machine.said);
    assert.equal(value("address6"), `${ip6}/64`, machine.said);
    const metadata: unknown = JSON.parse(value("metadata"));
    assert.equal(at(metadata, "uuid"), DEVICE);
    assert.equal(at(metadata, "name"), "virtual");
    for (const name of ["outside4", "outside6"])
      assert.match(value(name), /^3 packets transmitted, 3 packets received/);
  });
});
