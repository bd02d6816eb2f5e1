/** Tests of the installation script with stand-ins for apt and dpkg, in a mount namespace where /usr/sbin is a directory of the test's own. */

import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { attempt, type CommandResult } from "./command.ts";
import { findCommand } from "./setup.ts";
import { whyNoLab } from "./testing/mod.ts";

const SCRIPT = fileURLToPath(new URL("apt-install.sh", import.meta.url));
const skip = (await whyNoLab()) ?? false;

/** Notes its call and whether services would be kept from starting; "installs" what it is told, or fails, or is killed with all around it. */
const APT = `#!/bin/sh
/usr/sbin/policy-rc.d; echo "apt-get policy=$? $*" >> "$PLACE/calls"
case "$*" in
  *install*)
    [ ! -e "$PLACE/fails" ] || exit 100
    [ ! -e "$PLACE/killed" ] || kill -KILL "$PPID"
    for word; do echo "$word" >> "$PLACE/installed"; done ;;
esac
`;
const DPKG_QUERY = `#!/bin/sh
for word; do :; done
if grep -qx "$word" "$PLACE/installed"; then echo 'install ok installed'; else exit 1; fi
`;
const NOTES = (name: string): string =>
  `#!/bin/sh\necho "${name} $* for $DPKG_MAINTSCRIPT_PACKAGE" >> "$PLACE/calls"\n`;

interface Place extends AsyncDisposable {
  readonly root: string;
  install(...packages: readonly string[]): Promise<CommandResult>;
  calls(): Promise<readonly string[]>;
  mark(name: string, text?: string): Promise<void>;
  /** The machine's own policy-rc.d afterwards, and what else is in /usr/sbin. */
  policy(): Promise<string | undefined>;
}

async function place(installed: readonly string[], policy?: string): Promise<Place> {
  const root = await mkdtemp(join(tmpdir(), "selvage-setup-"));
  const tool = async (path: string, text: string): Promise<void> => {
    await writeFile(join(root, path), text);
    await chmod(join(root, path), 0o755);
  };
  await mkdir(join(root, "bin"));
  await mkdir(join(root, "sbin"));
  await writeFile(join(root, "installed"), `${installed.join("\n")}\n`);
  await tool("bin/apt-get", APT);
  await tool("bin/dpkg-query", DPKG_QUERY);
  await tool("bin/deb-systemd-helper", NOTES("deb-systemd-helper"));
  await tool("bin/update-rc.d", NOTES("update-rc.d"));
  if (policy !== undefined) await tool("sbin/policy-rc.d", policy);
  const read = (path: string): Promise<string | undefined> => readFile(join(root, path), "utf8").catch(() => undefined);
  return {
    root,
    install: (...packages) =>
      attempt(
        [
          "unshare",
          "--mount",
          "--propagation",
          "private",
          "sh",
          "-c",
          `mount --bind ${root}/sbin /usr/sbin && exec "$@"`,
          "sh",
          SCRIPT,
          ...packages,
        ],
        { env: { PLACE: root, PATH: `${root}/bin:/usr/bin:/bin` } },
      ),
    calls: async () => ((await read("calls")) ?? "").split("\n").filter((line) => line !== ""),
    mark: (name, text = "") => writeFile(join(root, name), text),
    policy: async () => {
      const names = await readdir(join(root, "sbin"));
      assert.deepEqual(
        names.filter((name) => name !== "policy-rc.d"),
        [],
        "nothing else is left",
      );
      return read("sbin/policy-rc.d");
    },
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}

test("only what is missing is installed, after an update, and no service may start meanwhile", { skip }, async () => {
  await using machine = await place(["ethtool", "openvswitch-switch"]);
  const result = await machine.install("ethtool", "udhcpc", "openvswitch-switch");
  assert.equal(result.code, 0, result.stderr);
  const calls = await machine.calls();
  assert.equal(calls.length, 2, calls.join("\n"));
  assert.match(calls[0] ?? "", /policy=101 .* update$/);
  assert.match(calls[1] ?? "", /policy=101 .* --no-install-recommends .* install udhcpc$/);
  assert.equal(await machine.policy(), undefined);
});

test("a switch that this run brought is not enabled for the next boot; one that was there is left alone", {
  skip,
}, async () => {
  await using fresh = await place(["ethtool"]);
  assert.equal((await fresh.install("openvswitch-switch", "ethtool")).code, 0);
  const calls = (await fresh.calls()).filter((line) => !line.startsWith("apt-get"));
  // The stand-in cannot put unit files in place; where the machine has them they must be disabled.
  for (const line of calls)
    assert.match(
      line,
      /^(deb-systemd-helper disable (openvswitch-switch|ovs-record-hostname)\.service|update-rc\.d openvswitch-switch disable) for/,
    );
  if (findCommand("ovs-vswitchd") !== undefined) assert.equal(calls.length, 3, calls.join("\n"));

  await using present = await place(["openvswitch-switch"]);
  assert.equal((await present.install("openvswitch-switch", "udhcpc")).code, 0);
  assert.deepEqual(
    (await present.calls()).filter((line) => !line.startsWith("apt-get")),
    [],
  );
});

test("a routing daemon that this run brought is not enabled for the next boot", { skip }, async () => {
  await using fresh = await place(["ethtool", "openvswitch-switch"]);
  assert.equal((await fresh.install("frr", "ethtool")).code, 0);
  const calls = (await fresh.calls()).filter((line) => !line.startsWith("apt-get"));
  for (const line of calls)
    assert.match(line, /^(deb-systemd-helper disable frr\.service|update-rc\.d frr disable) for/);
  if (findCommand("vtysh") !== undefined) assert.equal(calls.length, 2, calls.join("\n"));
});

test("the machine's own policy stands again after success, failure and a kill", { skip }, async () => {
  const own = "#!/bin/sh\n# the machine's own\nexit 0\n";
  await using machine = await place([], own);
  assert.equal((await machine.install("udhcpc")).code, 0);
  assert.equal(await machine.policy(), own);

  await machine.mark("fails");
  assert.equal((await machine.install("tcpdump")).code, 100);
  assert.equal(await machine.policy(), own);
  await rm(join(machine.root, "fails"));

  await machine.mark("killed");
  assert.notEqual((await machine.install("tcpdump")).code, 0);
  await rm(join(machine.root, "killed"));
  assert.equal((await machine.install("udhcpc")).code, 0, "nothing is missing, and yet what was left is put right");
  assert.equal(await machine.policy(), own);
});

test("nothing missing asks nothing of apt", { skip }, async () => {
  await using machine = await place(["udhcpc"]);
  assert.equal((await machine.install("udhcpc")).code, 0);
  assert.deepEqual(await machine.calls(), []);
});
