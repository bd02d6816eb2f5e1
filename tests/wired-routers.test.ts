/**
 * A router between the overlay and a network on the wire, on a running fabric of two hosts with real switches: its machines, and one that nobody manages, whose
 * kernel knows the router by the host that speaks for it.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until, whyNoLab } from "@selvage/lab/testing";
import { Fabric, type Guest } from "./support/guests.ts";

const skip = (await whyNoLab()) ?? false;
const WAIT_MS = 60_000;
const unmanaged = "10.77.0.99";

const untilSeen = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
  await until(`not seen: ${what}`, WAIT_MS, async () => ((await holds()) ? true : undefined));
};

/** A web server that answers with the address of who asks. */
const whoAsks = [
  "import http.server,socketserver",
  "class H(http.server.BaseHTTPRequestHandler):",
  "  def do_GET(self):",
  "    body=self.client_address[0].encode()",
  "    self.send_response(200); self.send_header('content-length',str(len(body))); self.end_headers(); self.wfile.write(body)",
  "s=socketserver.ThreadingTCPServer(('',8081),H)",
  "print('ready')",
  "s.serve_forever()",
].join("\n");

describe("a router on the wire", { skip }, () => {
  let fabric: Fabric;
  before(async () => {
    fabric = await Fabric.up("wired");
  });
  after(async () => {
    await fabric?.[Symbol.asyncDispose]();
  });

  test("machines of both hosts on either side, and one that nobody manages, reach each other through it", async () => {
    const run = (guest: Pick<Guest, "room">, ...argv: readonly string[]) => fabric.run(guest, ...argv);
    const wired = await fabric.make("networks", {
      ...{ name: "wired", "provider:network_type": "flat", "provider:physical_network": "public" },
    });
    const overlay = await fabric.make("networks", { name: "overlay" });
    const router = await fabric.make("routers", { name: "mixed" });
    for (const [network_id, cidr] of [
      [wired, "10.77.0.0/24"],
      [overlay, "10.9.0.0/24"],
    ] as const) {
      const subnet_id = await fabric.make("subnets", { network_id, ip_version: 4, cidr });
      await fabric.api.ask("PUT", `/v2.0/routers/${router}/add_router_interface`, { subnet_id });
    }
    await fabric.settled();
    const open = { port_security_enabled: false };
    const machines = [
      await fabric.guest("m1", "h1", { network_id: overlay, ...open }),
      await fabric.guest("m2", "h2", { network_id: overlay, ...open }),
      await fabric.guest("w1", "h1", { network_id: wired, ...open }),
      await fabric.guest("w2", "h2", { network_id: wired, ...open }),
    ];
    const route = (await run(fabric.outside, "ip", "route", "get", "203.0.113.10")).said;
    const wire = /dev (\S+)/.exec(route)?.[1] ?? assert.fail(route);
    for (const words of [
      ["address", "add", `${unmanaged}/24`, "dev", wire],
      ["route", "add", "10.9.0.0/24", "via", "10.77.0.1"],
    ]) {
      const { code, said } = await run(fabric.outside, "ip", ...words);
      assert.equal(code, 0, said);
    }
    const reaches = async (from: Pick<Guest, "room">, address: string): Promise<boolean> =>
      (await run(from, "ping", "-n", "-c", "1", "-W", "5", address)).said.includes(" 1 received");
    for (const guest of machines) {
      await untilSeen(
        `${guest.name} has a way`,
        async () => (await run(guest, "ip", "route", "show", "default")).said !== "",
      );
      for (const other of machines)
        if (other !== guest) await untilSeen(`${guest.name} reaches ${other.name}`, () => reaches(guest, other.ip4));
      await untilSeen(`${guest.name} reaches who is on the wire`, () => reaches(guest, unmanaged));
      await untilSeen(`who is on the wire reaches ${guest.name}`, () => reaches(fabric.outside, guest.ip4));
      await using server = fabric.start(guest, "python3", "-u", "-c", whoAsks);
      await server.says(/ready/);
      assert.equal((await run(fabric.outside, "curl", "-s", "-m", "20", `http://${guest.ip4}:8081/`)).said, unmanaged);
    }
    const [first] = machines;
    assert.ok(first !== undefined);
    const { said } = await run(fabric.outside, "traceroute", "-4", "-n", "-q", "1", "-w", "10", "-m", "4", first.ip4);
    const hops = said.split("\n").flatMap((line) => /^ *\d+ +(\S+)/.exec(line)?.[1] ?? []);
    assert.deepEqual(hops, ["10.77.0.1", first.ip4], said);
    assert.ok(await reaches(fabric.outside, "10.77.0.1"), "the router answers on the wire");
  });
});
