/** Ports of the switch and news of them (OpenFlow 1.5.1, sections 7.2.1, 7.3.5.7 and 7.4.3). */
import { DecodeError, type Reader, type Writer } from "./wire.ts";

/** A port as the switch describes it. */
export interface PortDescription {
  readonly port: number;
  /** 48 bits. */
  readonly mac: number;
  readonly name: string;
  /** `PortConfig` bits. */
  readonly config: number;
  /** `PortState` bits. */
  readonly state: number;
  /** Kilobits a second; null where the switch says nothing of Ethernet. */
  readonly speed: { readonly current: number; readonly max: number } | null;
}

export const PortConfig = { down: 1, noReceive: 4, noForward: 32, noPacketIn: 64 } as const;
export const PortState = { linkDown: 1, blocked: 2, live: 4 } as const;

export interface PortStatus {
  readonly kind: "portStatus";
  readonly reason: "added" | "deleted" | "modified";
  readonly port: PortDescription;
}

const reasons: readonly PortStatus["reason"][] = ["added", "deleted", "modified"];
const ethernet = 0;

export function encodePort(w: Writer, port: PortDescription): void {
  w.u32(port.port);
  w.u16(port.speed === null ? 40 : 72);
  w.zeros(2);
  w.u48(port.mac);
  w.zeros(2);
  w.text(port.name, 16);
  w.u32(port.config);
  w.u32(port.state);
  if (port.speed !== null) {
    w.u16(ethernet);
    w.u16(32);
    w.zeros(20);
    w.u32(port.speed.current);
    w.u32(port.speed.max);
  }
}

export function decodePort(outer: Reader): PortDescription {
  const r = outer.sub(outer.peekU16(4));
  const port = r.u32();
  r.skip(4);
  const mac = r.u48();
  r.skip(2);
  const name = r.text(16);
  const config = r.u32();
  const state = r.u32();
  let speed: PortDescription["speed"] = null;
  while (r.left > 0) {
    const type = r.u16();
    const length = r.u16();
    if (length < 4) throw new DecodeError(`port property of ${length} bytes`);
    const value = r.sub(length - 4);
    r.skipPad8(length);
    if (type === ethernet) {
      value.skip(20);
      speed = { current: value.u32(), max: value.u32() };
    }
  }
  return { port, mac, name, config, state, speed };
}

export function encodePortStatus(w: Writer, status: PortStatus): void {
  w.u8(reasons.indexOf(status.reason));
  w.zeros(7);
  encodePort(w, status.port);
}

export function decodePortStatus(r: Reader): PortStatus {
  const number = r.u8();
  const reason = reasons[number];
  if (reason === undefined) throw new DecodeError(`port status reason ${number}`);
  r.skip(7);
  return { kind: "portStatus", reason, port: decodePort(r) };
}
