/** The services' network on a real switch: machines of tenants whose addresses are the same ask, by HTTP and by datagram, and each is known by its port. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { silentLog } from "@selvage/base";
import { hostEngine } from "@selvage/compiler";
import { OvsDatapath } from "@selvage/datapath";
import { type Machine, OvsHost } from "@selvage/datapath/testing";
import { Attachment, Host, Network, Port } from "@selvage/model";
import { makeHost, makeNetwork, makePort, put, testId } from "@selvage/model/testing";
import { serviceAddresses } from "@selvage/pipeline";
import { answerNd } from "../services/nd.ts";
import { type Door, openDoor, portFinder } from "./door.ts";

const patience = 20_000;
const name = "h1";
const address = "10.0.0.11";

/** Both tenants' machines have the same address; the third is on no tenant's network of theirs. */
const ports = [1, 2].map((n) =>
  makePort({
    id: testId("port", n),
    name: `port ${n}`,
    network_id: testId("network", n),
    mac_address: `fa:16:3e:00:00:0${n}`,
    fixed_ips: [{ subnet_id: testId("subnet", n), ip_address: address }],
    "binding:host_id": name,
    key: n + 0x401000,
  }),
);

let directory: string;
let host: OvsHost;
let datapath: OvsDatapath;
let door: Door;
let keeper: ChildProcess;
const machines: Machine[] = [];
const questions: { readonly from: string; readonly text: string }[] = [];

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + patience;
  for (;;) {
    const seen = await look().catch(() => undefined);
    if (seen !== undefined) return seen;
    assert.ok(performance.now() < deadline, `not seen: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Runs the keeper in a namespace of its own, with the /sys of the switch's. */
function keep(): ChildProcess {
  const url = new URL("keeper.ts", import.meta.url);
  const program = `
    import { createLog, realClock } from "@selvage/base";
    import { ServiceKeeper } from ${JSON.stringify(url.href)};
    const log = await createLog({});
    await new ServiceKeeper({ agent: process.argv[1], hostNamespace: process.argv[2], clock: realClock, log }).run();
  `;
  const node = [
    process.execPath,
    "--input-type=module",
    "-e",
    program,
    join(directory, "services.sock"),
    host.namespace,
  ];
  const [file = "", ...args] = host.within([
    ...[
      "unshare",
      "--mount",
      "sh",
      "-c",
      'mount -t sysfs sysfs /sys && exec setpriv --pdeathsig KILL unshare --net "$@"',
      "sh",
    ],
    ...node,
  ]);
  return spawn(file, args, { stdio: ["ignore", "ignore", "inherit"], cwd: import.meta.dirname });
}

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "selvage-services-"));
  host = await OvsHost.start({ address: "198.18.0.1", mac: "02:00:00:00:00:01", underlay: () => undefined });
  datapath = new OvsDatapath({ database: host.database, datapathType: "netdev", tunnelIp: "198.18.0.1" });
  const engine = hostEngine({ name });
  const attached = new Set<string>();
  let isBegun = false;
  await datapath.open({
    attachments: (all) => {
      for (const { port } of all) attached.add(port);
    },
    punt: (punt) => {
      const answer = answerNd(engine.view, punt);
      if (answer.answer === "reply") for (const frame of answer.frames) void datapath.send(punt.attachment, frame);
    },
    ready: () => {
      if (isBegun) datapath.adopt(engine.rows()).catch((error: unknown) => assert.fail(String(error)));
    },
    lost: () => undefined,
  });
  for (const port of ports) machines.push(await host.plugMachine(port.id, port.mac_address, [`${address}/24`]));
  await until("both are plugged", async () => (attached.size >= ports.length ? true : undefined));
  engine.apply(
    [
      put(Host, makeHost({ name })),
      ...[1, 2].map((n) =>
        put(Network, makeNetwork({ id: testId("network", n), "provider:segmentation_id": n, key: n })),
      ),
      ...ports.map((port) => put(Port, port)),
      ...ports.map(({ id }) => put(Attachment, { id })),
    ],
    1,
  );
  await datapath.adopt(engine.rows());
  isBegun = true;
  const http = createServer((request, response) => {
    request.resume();
    response.end(`you asked for ${request.url}`);
  });
  door = await openDoor({
    socket: join(directory, "services.sock"),
    portOf: portFinder(engine.view, name),
    services: {
      tcp: {
        80: (socket, { port, service }) => {
          questions.push({ from: port.id, text: service });
          http.emit("connection", socket);
        },
      },
      udp: {
        53: async (message, { port }) =>
          new TextEncoder().encode(`${port.id} said ${new TextDecoder().decode(message)}`),
      },
    },
    log: silentLog,
  });
  keeper = keep();
});

after(async () => {
  keeper?.kill("SIGKILL");
  if (keeper !== undefined && keeper.exitCode === null && keeper.signalCode === null) await once(keeper, "exit");
  await door?.close();
  await datapath?.close();
  await host?.dispose();
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

/** As a machine without a router has it: a route to the link. */
const curl = (machine: Machine, url: string, ...more: readonly string[]): Promise<string> =>
  machine.exec("curl", "-sS", "--max-time", "5", ...more, url);

test("two tenants' machines with one address each ask metadata, and are known apart", async () => {
  for (const machine of machines) await machine.exec("ip", "route", "replace", "169.254.169.254/32", "dev", "eth0");
  for (const [n, machine] of machines.entries()) {
    const said = await until("an answer", () => curl(machine, "http://169.254.169.254/latest"));
    assert.equal(said, "you asked for /latest");
    assert.deepEqual(questions.at(-1), { from: ports[n]?.id, text: serviceAddresses.metadata[4] });
  }
});

test("so they are by IPv6, at the link-local address", async () => {
  for (const [n, machine] of machines.entries()) {
    const said = await until("an answer", () => curl(machine, "http://[fe80::a9fe:a9fe%25eth0]/openstack"));
    assert.equal(said, "you asked for /openstack");
    assert.deepEqual(questions.at(-1), { from: ports[n]?.id, text: serviceAddresses.metadata[6] });
  }
});

/** Sends a datagram and prints what comes back. */
const askByDatagram = (to: string) => `
  const socket = require("node:dgram").createSocket(${to.includes(":") ? '"udp6"' : '"udp4"'});
  socket.on("message", (answer, from) => { console.log(from.address, String(answer)); socket.close(); });
  const ask = () => socket.send("hello", 53, ${JSON.stringify(to)});
  setInterval(ask, 1000).unref();
  setTimeout(() => process.exit(1), 20_000).unref();
  ask();
`;

test("a datagram is answered by the address that was asked", async () => {
  const resolver = serviceAddresses.resolver;
  for (const [n, machine] of machines.entries()) {
    await machine.exec("ip", "route", "replace", `${resolver[4]}/32`, "dev", "eth0");
    for (const to of [resolver[4], `${resolver[6]}%eth0`])
      assert.equal(await machine.exec(process.execPath, "-e", askByDatagram(to)), `${to} ${ports[n]?.id} said hello\n`);
  }
});

test("one machine that asks without end takes nothing from another", async () => {
  const [loud, quiet] = machines;
  assert.ok(loud !== undefined && quiet !== undefined);
  const flooding = new AbortController();
  const flood = loud.run(["ping", "-q", "-f", "-l", "100", "169.254.169.254"], flooding.signal);
  try {
    await until("the flood is cut", async () =>
      ((await datapath.drops()).get("punt-rate") ?? 0) > 300 ? true : undefined,
    );
    for (let n = 0; n < 5; n += 1) assert.equal(await curl(quiet, "http://169.254.169.254/"), "you asked for /");
  } finally {
    flooding.abort();
    await flood;
  }
});

test("one machine's conversations are as many as it may have, and another's are its own", async () => {
  const [loud, quiet] = machines;
  assert.ok(loud !== undefined && quiet !== undefined);
  // Keeps each connection that is served, and tells how many were ended instead.
  const hoard = `
    let [served, ended] = [0, 0];
    for (let n = 0; n < 40; n += 1) {
      const socket = require("node:net").connect(80, "169.254.169.254");
      let isServed = false;
      const tell = () => { if (served + ended === 40) { console.log(served + " served"); process.exit(); } };
      socket.on("error", () => undefined);
      socket.on("connect", () => socket.write("GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"));
      socket.on("data", () => { if (!isServed) { isServed = true; served += 1; tell(); } });
      socket.on("close", () => { if (!isServed) { ended += 1; tell(); } });
    }
  `;
  const hoarding = loud.exec(process.execPath, "-e", hoard);
  for (let n = 0; n < 5; n += 1) assert.equal(await curl(quiet, "http://169.254.169.254/"), "you asked for /");
  assert.equal(await hoarding, "32 served\n");
});

test("after a restart of the switch, which makes its interfaces anew, all is as it was", async () => {
  await host.stopSwitch();
  await host.startSwitch();
  for (const machine of machines)
    assert.equal(await until("an answer", () => curl(machine, "http://169.254.169.254/")), "you asked for /");
});
