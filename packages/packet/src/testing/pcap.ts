/** Capture files (the libpcap format of pcap-savefile(5), link type Ethernet) and what tcpdump says of them: a second opinion on our bytes. */

import { spawnSync } from "node:child_process";

/** A little-endian capture file of frames, one microsecond apart from time 0. */
export function pcap(frames: readonly Uint8Array[]): Uint8Array {
  const size = frames.reduce((sum, frame) => sum + 16 + frame.length, 24);
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  view.setUint32(0, 0xa1b2c3d4, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, 262_144, true);
  view.setUint32(20, 1, true);
  let at = 24;
  for (const [n, frame] of frames.entries()) {
    view.setUint32(at + 4, n, true);
    view.setUint32(at + 8, frame.length, true);
    view.setUint32(at + 12, frame.length, true);
    file.set(frame, at + 16);
    at += 16 + frame.length;
  }
  return file;
}

/**
 * What tcpdump prints for each frame: verbose (`-vvv`, so it verifies checksums), with the link layer, no names; all lines of a packet
 * joined to one, without its time. Throws if tcpdump is not installed or refuses the capture.
 */
export function tcpdump(frames: readonly Uint8Array[]): readonly string[] {
  const run = spawnSync("tcpdump", ["-r", "-", "-n", "-tt", "-e", "-vvv"], {
    input: pcap(frames),
    encoding: "latin1",
    maxBuffer: 1 << 26,
  });
  if (run.error !== undefined) throw new Error(`these tests need tcpdump(8) on the PATH: ${run.error.message}`);
  if (run.status !== 0) throw new Error(`tcpdump refused the capture: ${run.stderr}`);
  const packets: string[] = [];
  for (const line of run.stdout.split("\n")) {
    if (line === "") continue;
    const start = /^\d+\.\d{6} /.exec(line);
    if (start !== null) packets.push(line.slice(start[0].length));
    else if (packets.length > 0) packets[packets.length - 1] += ` ${line.trim()}`;
  }
  return packets;
}
