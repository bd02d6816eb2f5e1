/** Frames in and out of a lab's rooms as an attacker or an observer has them: captures (tcpdump's pcap, its file format 2.4), raw frames (packet(7)), datagrams from any room. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { captureInLab, enterLab, type LabPlace } from "@selvage/lab";
import { until } from "@selvage/lab/testing";

const FILE_HEADER = 24;
const RECORD_HEADER = 16;
const WAIT_MS = 120_000;

/** Everything that passes an interface from the moment it is opened; `await using` ends it. */
export class Capture implements AsyncDisposable {
  readonly frames: Uint8Array[] = [];
  readonly #child: ChildProcess;
  #held = Buffer.alloc(0);
  #isPastHeader = false;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on("data", (bytes: Buffer) => this.#take(bytes));
  }

  /** Resolves when tcpdump listens. Throws an Error with its words when it cannot. */
  static async open(firstPid: number, place: LabPlace, device: string, filter = ""): Promise<Capture> {
    const words = [
      "tcpdump",
      "-n",
      "-U",
      "--immediate-mode",
      "-i",
      device,
      "-w",
      "-",
      ...filter.split(" ").filter(Boolean),
    ];
    const [file = "", ...args] = enterLab(firstPid, place, words);
    const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
    const capture = new Capture(child);
    let said = "";
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", () => reject(new Error(`tcpdump ended: ${said}`)));
      child.stderr.on("data", (bytes: Buffer) => {
        said += bytes.toString();
        if (said.includes("listening on")) resolve();
      });
    });
    return capture;
  }

  #take(bytes: Buffer): void {
    this.#held = Buffer.concat([this.#held, bytes]);
    if (!this.#isPastHeader) {
      if (this.#held.length < FILE_HEADER) return;
      this.#held = this.#held.subarray(FILE_HEADER);
      this.#isPastHeader = true;
    }
    while (this.#held.length >= RECORD_HEADER) {
      const end = RECORD_HEADER + this.#held.readUInt32LE(8);
      if (this.#held.length < end) return;
      this.frames.push(Uint8Array.from(this.#held.subarray(RECORD_HEADER, end)));
      this.#held = this.#held.subarray(end);
    }
  }

  has(frame: Uint8Array): boolean {
    return this.frames.some((each) => Buffer.compare(each, frame) === 0);
  }

  /** Waits until a frame passes for which `wanted` holds, from the capture's beginning on, and gives the first. */
  first(what: string, wanted: (frame: Uint8Array) => boolean): Promise<Uint8Array> {
    return until(`not captured: ${what}`, WAIT_MS, () => Promise.resolve(this.frames.find(wanted)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill();
    await ended;
  }
}

/** Perl is part of every Debian (perl-base is essential); Node has no sockets of raw frames. */
const RAW_SENDER = `
  socket(my $socket, 17, 3, 0) or die "socket: $!";
  open(my $file, "<", "/sys/class/net/eth0/ifindex") or die "no eth0: $!";
  my $address = pack("S n i S C C x8", 17, 3, scalar(<$file>), 0, 0, 0);
  for my $frame (@ARGV) { defined(send($socket, pack("H*", $frame), 0, $address)) or die "send: $!"; }
`;

async function run(firstPid: number, place: LabPlace, argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await captureInLab(firstPid, place, argv, WAIT_MS);
  if (code !== 0) throw new Error(`${argv.slice(0, 3).join(" ")}: ${stderr || stdout || `exit code ${code}`}`);
  return stdout;
}

/** Runs a command in a room and gives its output. Throws an Error when it fails. */
export const runIn = run;

/** Sends frames as they are out of a machine's interface, in their order. */
export async function sendFrames(firstPid: number, place: LabPlace, ...frames: readonly Uint8Array[]): Promise<void> {
  await run(firstPid, place, ["perl", "-e", RAW_SENDER, ...frames.map((frame) => Buffer.from(frame).toString("hex"))]);
}

const DATAGRAM_SENDER = `
  const [from, to, port, hex] = process.argv.slice(1);
  const socket = require("node:dgram").createSocket(to.includes(":") ? "udp6" : "udp4");
  socket.bind(0, from, () => socket.send(Buffer.from(hex, "hex"), Number(port), to, (error) => {
    if (error) throw error;
    socket.close();
  }));
`;

/** Sends one UDP datagram from an address of a room. */
export async function sendDatagram(
  firstPid: number,
  place: LabPlace,
  {
    from,
    to,
    port,
    payload,
  }: { readonly from: string; readonly to: string; readonly port: number; readonly payload: Uint8Array },
): Promise<void> {
  const words = [from, to, String(port), Buffer.from(payload).toString("hex")];
  await run(firstPid, place, [process.execPath, "-e", DATAGRAM_SENDER, ...words]);
}
