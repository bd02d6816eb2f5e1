/** Counters of a flow as extensible statistics (OpenFlow 1.5.1, section 7.2.4, OXS). */
import { DecodeError, type Reader, type Writer } from "./wire.ts";

/** Counters; one that the switch did not send is null. */
export interface Statistics {
  /** How long the flow has been there, in seconds. */
  readonly seconds: number | null;
  /** Seconds without a packet. */
  readonly idleSeconds: number | null;
  readonly flows: number | null;
  readonly packets: bigint | null;
  readonly bytes: bigint | null;
}

const basic = 0x8002;
const StatisticField = { duration: 0, idle: 1, flows: 3, packets: 4, bytes: 5 } as const;

export const noStatistics: Statistics = { seconds: null, idleSeconds: null, flows: null, packets: null, bytes: null };

export function encodeStatistics(w: Writer, statistics: Statistics): void {
  const start = w.length;
  w.zeros(4);
  if (statistics.seconds !== null) time(w, StatisticField.duration, statistics.seconds);
  if (statistics.idleSeconds !== null) time(w, StatisticField.idle, statistics.idleSeconds);
  if (statistics.flows !== null) {
    header(w, StatisticField.flows, 4);
    w.u32(statistics.flows);
  }
  if (statistics.packets !== null) {
    header(w, StatisticField.packets, 8);
    w.u64(statistics.packets);
  }
  if (statistics.bytes !== null) {
    header(w, StatisticField.bytes, 8);
    w.u64(statistics.bytes);
  }
  w.setU16(start + 2, w.length - start);
  w.pad8(start);
}

/** Reads the counters and their padding; unknown ones are passed over. */
export function decodeStatistics(outer: Reader): Statistics {
  outer.skip(2);
  const length = outer.u16();
  if (length < 4) throw new DecodeError(`statistics of ${length} bytes`);
  const r = outer.sub(length - 4);
  outer.skipPad8(length);
  let { seconds, idleSeconds, flows, packets, bytes } = noStatistics;
  while (r.left > 0) {
    const oxsClass = r.u16();
    const rest = r.u16();
    const value = r.sub(rest & 0xff);
    if (oxsClass !== basic) continue;
    switch (rest >> 9) {
      case StatisticField.duration:
        seconds = value.seconds();
        break;
      case StatisticField.idle:
        idleSeconds = value.seconds();
        break;
      case StatisticField.flows:
        flows = value.u32();
        break;
      case StatisticField.packets:
        packets = value.u64();
        break;
      case StatisticField.bytes:
        bytes = value.u64();
        break;
      default:
        break;
    }
  }
  return { seconds, idleSeconds, flows, packets, bytes };
}

function time(w: Writer, number: number, seconds: number): void {
  header(w, number, 8);
  w.seconds(seconds);
}

function header(w: Writer, number: number, length: number): void {
  w.u16(basic);
  w.u16((number << 9) | length);
}
