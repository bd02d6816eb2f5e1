/** Tests of the lab with real switches and a real DHCP client: hosts, machines, repair, and that the machine itself stays as it was. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { access, readdir } from "node:fs/promises";
import { test } from "node:test";
import { run } from "./command.ts";
import type { HostState, MachineState } from "./control.ts";
import { labAlive, outerPid } from "./lab-process.ts";
import type { MachinePlan } from "./machine.ts";
import { isAlive } from "./processes.ts";
import { type BareLab, bareLab, machineSnapshot, processesNaming, whyNoLab } from "./testing/mod.ts";
import { until } from "./waiting.ts";

const skip = (await whyNoLab()) ?? false;

function plan(number: number, host: string, over: Partial<MachinePlan> = {}): MachinePlan {
  return {
    port: `${String(number).repeat(8)}-1111-4222-8333-444444444444`,
    name: `m${number}`,
    host,
    mac: `fa:16:3e:00:00:0${number}`,
    ipv6: [`fd00::${number}/64`],
    dhcp: false,
    ...over,
  };
}

const untilTrue = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
  await until(`not seen: ${what}`, 240_000, async () => ((await holds()) ? true : undefined));
};

/** Joins two hosts' integration bridges by a Geneve tunnel and lets them learn, as a stand-in for agents. */
async function joinByHand(hosts: readonly HostState[]): Promise<void> {
  for (const host of hosts) {
    const db = `--db=unix:${host.directory}/run/db.sock`;
    const others = hosts.filter((other) => other !== host);
    for (const other of others) {
      const port = `t-${other.name}`;
      await run([
        "ovs-vsctl",
        db,
        "--may-exist",
        "add-port",
        "br-int",
        port,
        "--",
        "set",
        "Interface",
        port,
        "type=geneve",
        `options:remote_ip=${other.tunnelIp}`,
        "options:key=7",
      ]);
    }
    const control = `unix:${host.directory}/run/br-int.mgmt`;
    await run(["ovs-ofctl", "-O", "OpenFlow15", "add-flow", control, "actions=normal"]);
  }
}

const reaches = async (lab: BareLab, from: MachineState, address: string): Promise<boolean> =>
  (await lab.run(from, "ping", "-n", "-c", "1", "-W", "1", address)).code === 0;

test("two hosts: the underlay carries full frames, machines meet over a tunnel, commands give their exit codes", {
  skip,
}, async () => {
  await using lab = await bareLab({ hosts: 2 });
  const [h1, h2] = (await lab.state()).hosts.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  assert.ok(h1 !== undefined && h2 !== undefined);
  assert.deepEqual([h1.tunnelIp, h2.tunnelIp], ["198.18.0.1", "198.18.0.2"]);
  const big = await lab.run(
    { kind: "host", name: "h1" },
    "ping",
    "-c",
    "2",
    "-i",
    "0.2",
    "-s",
    "1572",
    "-M",
    "do",
    "198.18.0.2",
  );
  assert.match(big.stdout, / 2 received/, `1,600 bytes must pass the underlay: ${big.stdout}${big.stderr}`);

  await joinByHand([h1, h2]);
  const a = await lab.plug(plan(1, "h1"), 0);
  const b = await lab.plug(plan(2, "h2"), 0);
  await untilTrue("a reaches b by IPv6", () => reaches(lab, a, "fd00::2"));
  await untilTrue("b reaches a by IPv6", () => reaches(lab, b, "fd00::1"));
  const listed = await run([
    "ovs-vsctl",
    `--db=unix:${h1.directory}/run/db.sock`,
    "get",
    "Interface",
    a.tap,
    "external_ids",
  ]);
  assert.match(listed, new RegExp(`iface-id="?${a.port}`));
  assert.match(listed, /attached-mac="fa:16:3e:00:00:01"/);

  assert.equal((await lab.run(a, "sh", "-c", "exit 0")).code, 0);
  assert.equal((await lab.run(a, "sh", "-c", "exit 7")).code, 7);
  assert.equal((await lab.run(a, "no-such-command")).code, 127);
  const seen = await lab.run(a, "ls", "/sys/class/net");
  assert.deepEqual(seen.stdout.trim().split("\n").sort(), ["eth0", "lo"], "a machine sees its own interfaces only");

  assert.equal(await lab.unplug(a.port), true);
  assert.equal(await lab.unplug(a.port), false, "a second unplug is harmless");
  const ports = await run(["ovs-vsctl", `--db=unix:${h1.directory}/run/db.sock`, "list-ports", "br-int"]);
  assert.ok(!ports.includes(a.tap), ports);
  assert.deepEqual(
    (await lab.state()).machines.map((machine) => machine.name),
    ["m2"],
  );
});

test("a machine takes address, MTU, routes and names from a real DHCP server; the machine's own resolv.conf stays", {
  skip,
}, async () => {
  const before = readFileSync("/etc/resolv.conf", "utf8");
  await using lab = await bareLab({ hosts: 1 });
  const [h1] = (await lab.state()).hosts;
  assert.ok(h1 !== undefined);
  await joinByHand([h1]);
  const server = await lab.plug(plan(1, "h1"), 0);
  const config = [
    "start 10.9.0.50",
    "end 10.9.0.50",
    "interface eth0",
    "lease_file /run/udhcpd.leases",
    "option subnet 255.255.255.0",
    "option router 10.9.0.1",
    "option dns 10.9.0.2 10.9.0.3",
    "option search example.test",
    "option mtu 1400",
    "option lease 600",
    "option staticroutes 10.77.0.0/16 10.9.0.9, 0.0.0.0/0 10.9.0.8",
  ].join("\n");
  const started = await lab.run(
    server,
    "sh",
    "-c",
    `ip addr add 10.9.0.1/24 dev eth0 && cat > /run/udhcpd.conf <<'END' && : > /run/udhcpd.leases && setsid busybox udhcpd -S /run/udhcpd.conf\n${config}\nEND`,
  );
  assert.equal(started.code, 0, started.stderr);
  const client = await lab.plug(plan(2, "h1", { dhcp: true }), 15_000);
  assert.equal(client.dhcp, "bound");
  assert.equal(client.ipv4, "10.9.0.50");
  const addresses = await lab.run(client, "ip", "-o", "addr", "show", "dev", "eth0");
  assert.match(addresses.stdout, /inet 10\.9\.0\.50\/24/);
  assert.match(addresses.stdout, /inet6 fd00::2\/64/, "the addresses set by hand stay beside the lease");
  const routes = await lab.run(client, "ip", "route");
  assert.match(routes.stdout, /default via 10\.9\.0\.8 /, "RFC 3442: option 121 wins over option 3");
  assert.match(routes.stdout, /10\.77\.0\.0\/16 via 10\.9\.0\.9 /);
  assert.match((await lab.run(client, "ip", "link", "show", "eth0")).stdout, /mtu 1400/);
  const names = await lab.run(client, "cat", "/etc/resolv.conf");
  assert.match(names.stdout, /search example\.test\nnameserver 10\.9\.0\.2\nnameserver 10\.9\.0\.3\n/);
  assert.equal((await lab.run(server, "cat", "/etc/resolv.conf")).stdout, "", "another machine's names are its own");
  assert.equal(readFileSync("/etc/resolv.conf", "utf8"), before);
});

test("each process that is killed comes back; the switch forwards again without help", { skip }, async () => {
  await using lab = await bareLab({ hosts: 2 });
  const hosts = (await lab.state()).hosts;
  const first = lab.process.first.pid;
  const kill = async (
    read: (host: HostState) => { readonly pid: number | null; readonly starts: number },
  ): Promise<void> => {
    const [host] = (await lab.state()).hosts.filter((one) => one.name === "h1");
    assert.ok(host !== undefined);
    const before = read(host);
    const pid = outerPid(first, before.pid ?? -1);
    assert.ok(pid !== undefined, "the process is seen from outside");
    process.kill(pid, "SIGKILL");
    await untilTrue("it was started again", async () => {
      const again = (await lab.state()).hosts.find((one) => one.name === "h1");
      return again !== undefined && read(again).starts > before.starts && read(again).pid !== null;
    });
  };
  const reached = async (): Promise<boolean> =>
    (await lab.run({ kind: "host", name: "h2" }, "ping", "-c", "1", "-W", "1", "198.18.0.1")).code === 0;
  assert.equal(hosts.length, 2);
  await untilTrue("the underlay works", reached);
  await kill((host) => host.vswitch);
  await untilTrue("the underlay works again after the switch was killed", reached);
  await kill((host) => host.database);
  await untilTrue("the underlay works again after the database was killed", reached);
});

test("the lab comes back from its record with hosts and machines, and forgets ports that were unplugged meanwhile", {
  skip,
}, async () => {
  await using lab = await bareLab({ hosts: 2 });
  await lab.plug(plan(1, "h1"), 0);
  await lab.plug(plan(2, "h2"), 0);
  await lab.unplug(plan(2, "h2").port);
  const before = await lab.state();
  await lab.restart();
  const after = await lab.state();
  assert.deepEqual(
    after.hosts.map((host) => [host.name, host.tunnelIp]).sort(),
    before.hosts.map((host) => [host.name, host.tunnelIp]).sort(),
  );
  const lasting = (machine: MachineState) => ({ ...machine, holder: null });
  assert.deepEqual(after.machines.map(lasting), before.machines.map(lasting));
  assert.deepEqual(
    after.machines.map((machine) => machine.name),
    ["m1"],
  );
  const [machine] = after.machines;
  assert.ok(machine !== undefined);
  assert.match((await lab.run(machine, "ip", "-o", "addr")).stdout, /fd00::1\/64/);
});

test("when its first process is killed everything of the lab is gone, and the machine is as it was", {
  skip,
}, async () => {
  const before = await machineSnapshot();
  const lab = await bareLab({ hosts: 2, underlay: "fd00:5e1::/64" });
  try {
    await lab.plug(plan(1, "h1"), 0);
    const during = await machineSnapshot();
    assert.deepEqual(during, before, "a running lab changes nothing outside itself either");
    const ping = await lab.run({ kind: "host", name: "h1" }, "ping", "-c", "1", "-W", "2", "fd00:5e1::2");
    assert.equal(ping.code, 0, `an IPv6 underlay works: ${ping.stdout}${ping.stderr}`);
    assert.ok(processesNaming(lab.paths.root).length > 4);
    process.kill(lab.process.first.pid, "SIGKILL");
    await untilTrue("nothing of it runs", () => Promise.resolve(processesNaming(lab.paths.root).length === 0));
    assert.equal(labAlive(lab.process), false);
    assert.equal(isAlive(lab.process.holder), false);
    assert.deepEqual(await machineSnapshot(), before);
  } finally {
    await lab[Symbol.asyncDispose]();
  }
  await assert.rejects(access(lab.paths.root));
  assert.ok(!(await readdir("/")).includes("selvage"));
});
