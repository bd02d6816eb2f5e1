/** A virtual machine of its own kernel for the tests: Debian's kernel and BusyBox, fetched and unpacked into a cache, nothing of them installed; QEMU runs it without KVM. */

import { execFile } from "node:child_process";
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const CACHE = fileURLToPath(new URL("../../.cache/virtual-machine", import.meta.url));
const INIT = fileURLToPath(new URL("virtual-machine-init.sh", import.meta.url));

/** The package that names Debian's newest kernel for machines without hardware. */
const KERNEL = "linux-image-cloud-amd64";
/** What the machine's network interface needs; what these need in turn is found. */
const MODULES = ["virtio_pci", "virtio_net"] as const;

/** The files a machine boots from. */
export interface BootFiles {
  readonly kernel: string;
  /** First files of the machine: a gzipped cpio archive (Linux, early userspace support). */
  readonly initramfs: string;
}

/** What a machine runs with. */
export interface MachineHardware {
  readonly files: BootFiles;
  /** The interface on the host that is the other end of its only one. */
  readonly tap: string;
  readonly mac: string;
  /** What it reaches for, outside. */
  readonly far: { readonly ip4: string; readonly ip6: string };
}

/** Unpacks packages of Debian for amd64 below a directory. apt keeps its lists in the directory too, so that the machine's own stay as they are. */
async function unpackPackages(place: string): Promise<string> {
  const apt = join(place, "apt");
  for (const part of ["lists/partial", "cache"]) await mkdir(join(apt, part), { recursive: true });
  const options = [
    ...[`Dir::State::lists=${apt}/lists`, `Dir::Cache=${apt}/cache`, "APT::Sandbox::User=root"],
    ...["APT::Architecture=amd64", "APT::Architectures::=amd64", "Acquire::Languages=none", "Acquire::Retries=3"],
  ].flatMap((option) => ["-o", option]);
  await run("apt-get", [...options, "-q", "update"], { cwd: apt });
  const { stdout } = await run("apt-cache", [...options, "depends", KERNEL]);
  const [, image] = /Depends: (linux-image-\S+)/.exec(stdout) ?? [];
  if (image === undefined) throw new Error(`no kernel behind ${KERNEL}: ${stdout}`);
  await run("apt-get", [...options, "-q", "download", image, "busybox-static"], { cwd: apt });
  const tree = join(place, "tree");
  for (const name of await readdir(apt)) {
    if (name.endsWith(".deb")) await run("dpkg-deb", ["-x", join(apt, name), tree]);
  }
  return tree;
}

async function fileNamed(directory: string, pattern: RegExp): Promise<string> {
  const names = await readdir(directory, { recursive: true });
  const found = names.find((name) => pattern.test(basename(name)));
  if (found === undefined) throw new Error(`no ${pattern} in ${directory}`);
  return join(directory, found);
}

/** Copies modules and, before each, those that it depends on by its own word (its section .modinfo); gives the order to load them in. */
async function copyModules(from: string, to: string): Promise<readonly string[]> {
  const order: string[] = [];
  const take = async (name: string): Promise<void> => {
    if (order.includes(name)) return;
    const file = await fileNamed(from, new RegExp(`^${name.replaceAll(/[-_]/g, "[-_]")}\\.ko$`));
    const [, needs = ""] = /\0depends=([^\0]*)\0/.exec(await readFile(file, "latin1")) ?? [];
    for (const needed of needs.split(",")) if (needed !== "") await take(needed);
    await copyFile(file, join(to, `${name}.ko`));
    order.push(name);
  };
  for (const name of MODULES) await take(name);
  return order;
}

/** Makes what all machines have in common, once: the kernel, and the first files but for the script that is their first process. */
async function common(): Promise<string> {
  const present: readonly string[] = await readdir(CACHE).catch(() => []);
  if (present.includes("kernel")) return CACHE;
  await mkdir(dirname(CACHE), { recursive: true });
  const place = await mkdtemp(`${CACHE}-`);
  try {
    const tree = await unpackPackages(place);
    const ready = join(place, "ready");
    await mkdir(join(ready, "root", "bin"), { recursive: true });
    await mkdir(join(ready, "root", "modules"));
    await copyFile(await fileNamed(join(tree, "boot"), /^vmlinuz-/), join(ready, "kernel"));
    await copyFile(await fileNamed(tree, /^busybox$/), join(ready, "root", "bin", "busybox"));
    const order = await copyModules(tree, join(ready, "root", "modules"));
    await writeFile(join(ready, "root", "modules", "order"), `${order.join("\n")}\n`);
    // Whoever made it at the same time made the same.
    await rename(ready, CACHE).catch(async (cause: unknown) => {
      if (!(await readdir(CACHE)).includes("kernel")) throw cause;
    });
  } finally {
    await rm(place, { recursive: true, force: true });
  }
  return CACHE;
}

/**
 * The files to boot from; asks Debian's archive the first time.
 * @param place an empty directory of the caller's for what is made anew each time
 * @throws Error with apt's words when the archive gives nothing
 */
export async function bootFiles(place: string): Promise<BootFiles> {
  const cache = await common();
  const root = join(place, "root");
  await cp(join(cache, "root"), root, { recursive: true });
  await copyFile(INIT, join(root, "init"));
  const initramfs = join(place, "initramfs.gz");
  await run("sh", [
    "-ec",
    'cd "$1" && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1 > "$2"',
    "sh",
    root,
    initramfs,
  ]);
  return { kernel: join(cache, "kernel"), initramfs };
}

/** Words that run a machine until it powers off, its console on standard output. Checksums are whole on the wire, as of a card that computes none. */
export function machineWords({ files, tap, mac, far }: MachineHardware): readonly string[] {
  return [
    ...["qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-m", "192", "-nodefaults", "-no-reboot"],
    ...["-nographic", "-serial", "stdio", "-kernel", files.kernel, "-initrd", files.initramfs],
    ...["-append", `console=ttyS0 quiet panic=-1 far4=${far.ip4} far6=${far.ip6}`],
    ...["-netdev", `tap,id=wire,ifname=${tap},script=no,downscript=no,vnet_hdr=off`],
    ...["-device", `virtio-net-pci,netdev=wire,mac=${mac},romfile=`],
  ];
}

/** What a machine has said on its console, by the names it gives to its results. */
export function results(said: string): ReadonlyMap<string, string> {
  return new Map([...said.matchAll(/^machine (\w+): (.*?)\r*$/gm)].map(([, name = "", value = ""]) => [name, value]));
}
