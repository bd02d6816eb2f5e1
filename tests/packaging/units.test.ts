/** The units: systemd itself finds nothing wrong with them, and they leave their processes as little as was meant (systemd.exec(5)). */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const folder = join(import.meta.dirname, "../../packaging/systemd");
const names = ["selvage-agent.service", "selvage-server.service", "selvage-services.service"];

const analyze = spawnSync("systemd-analyze", ["--version"], { encoding: "utf8" });
const skip = analyze.status === 0 ? false : "systemd-analyze is not installed";

/** Sections and settings of a unit; a setting may stand several times. */
function unit(name: string): ReadonlyMap<string, readonly string[]> {
  const settings = new Map<string, string[]>();
  let section = "";
  for (const line of readFileSync(join(folder, name), "utf8").split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const head = /^\[(\w+)\]$/.exec(line);
    if (head !== null) section = head[1] ?? "";
    else {
      const [key = "", value] = line.split(/=(.*)/s);
      assert.notEqual(value, undefined, `${name}: ${line}`);
      const path = `${section}.${key}`;
      settings.set(path, [...(settings.get(path) ?? []), value ?? ""]);
    }
  }
  return settings;
}

test("these are all the units there are", () => {
  assert.deepEqual(globSync("*", { cwd: folder }).sort(), names);
});

test("systemd finds nothing wrong with them", { skip }, () => {
  // A root with just the programs that the units name: systemd looks whether they are there.
  const root = mkdtempSync(join(tmpdir(), "selvage-units-"));
  try {
    for (const path of ["usr/bin", "lib/systemd/system"]) mkdirSync(join(root, path), { recursive: true });
    writeFileSync(join(root, "usr/bin/selvage"), "#!/bin/sh\n", { mode: 0o755 });
    for (const name of names) {
      // Without the program in place the text itself is judged, with its path made one that is here.
      const text = readFileSync(join(folder, name), "utf8").replace(
        /(?<=ExecStart=.*)\/usr\/bin\/selvage/,
        join(root, "usr/bin/selvage"),
      );
      const path = join(root, "lib/systemd/system", name);
      writeFileSync(path, text);
      const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", path], { encoding: "utf8" });
      const words = stderr.split("\n").filter((line) => line.includes(name));
      assert.deepEqual([status, words], [0, []], stderr);
    }
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("systemd counts how much each could do if it were taken over: no more than a little", { skip }, () => {
  for (const [name, limit] of [
    ["selvage-server.service", 20],
    ["selvage-agent.service", 30],
    ["selvage-services.service", 55],
  ] as const) {
    const words = ["security", "--offline=true", "--no-pager", `--threshold=${limit}`, join(folder, name)];
    const { status, stdout, stderr } = spawnSync("systemd-analyze", words, { encoding: "utf8" });
    assert.equal(status, 0, `${stdout}${stderr}`);
  }
});

test("the server is a user of its own, the agent root without a capability, what keeps the services' network with those that it takes; all come back, and none starts by itself", () => {
  const needed = "CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_SYS_ADMIN CAP_SYS_PTRACE";
  for (const name of names) {
    const settings = unit(name);
    const capabilities = name === "selvage-services.service" ? needed : "";
    assert.deepEqual(settings.get("Service.CapabilityBoundingSet"), [capabilities], name);
    assert.deepEqual(settings.get("Service.AmbientCapabilities"), [""], name);
    assert.deepEqual(settings.get("Service.NoNewPrivileges"), ["yes"], name);
    assert.deepEqual(settings.get("Service.Restart"), ["on-failure"], name);
    assert.deepEqual(settings.get("Unit.StartLimitIntervalSec"), ["0"], name);
    // JavaScript is compiled while it runs: with this it would not start.
    assert.equal(settings.has("Service.MemoryDenyWriteExecute"), false, name);
  }
  assert.deepEqual(unit("selvage-server.service").get("Service.DynamicUser"), ["yes"]);
  const agent = unit("selvage-agent.service");
  assert.equal(agent.has("Service.User"), false);
  assert.match(agent.get("Unit.After")?.join(" ") ?? "", /openvswitch-switch\.service/);
  for (const each of [agent, unit("selvage-services.service")])
    assert.deepEqual(each.get("Unit.ConditionPathExists"), ["/var/lib/selvage-agent/identity.json"]);
});
