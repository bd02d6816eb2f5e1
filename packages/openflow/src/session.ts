/** Messages that set up and keep a session: hello, features, configuration, asynchronous events (OpenFlow 1.5.1, sections 7.3.1 to 7.3.3, 7.3.10, 7.5.1). */
import { DecodeError, type Reader, type Writer } from "./wire.ts";

export interface Hello {
  readonly kind: "hello";
  /** Wire versions that the speaker knows, ascending; 6 is OpenFlow 1.5. */
  readonly versions: readonly number[];
}

export interface Features {
  readonly kind: "featuresReply";
  readonly datapathId: bigint;
  readonly buffers: number;
  readonly tables: number;
  readonly auxiliaryId: number;
  readonly capabilities: number;
}

/** How the switch treats fragments and table misses. */
export interface SwitchConfig {
  /** `ConfigFlag`. */
  readonly flags: number;
  /** Bytes of a packet that missed to send, 0xffff for all. */
  readonly missSendLength: number;
}

/** Bits and values of `SwitchConfig.flags`; `nxMatch` lets first fragments be matched by port. */
export const ConfigFlag = {
  fragmentsNormal: 0,
  fragmentsDrop: 1,
  fragmentsReassemble: 2,
  fragmentsNxMatch: 3,
} as const;

/** Which events this controller wants: bit N of a mask is reason N. Those for a controller in the role of a secondary stay as they are. */
export interface SetAsync {
  readonly kind: "setAsync";
  /** `PacketInReason`. */
  readonly packetIn: number;
  /** Bit 0 added, 1 deleted, 2 modified. */
  readonly portStatus: number;
  /** `FlowRemovedReason`. */
  readonly flowRemoved: number;
}

const versionBitmap = 1;
const AsyncProperty = { packetInPrimary: 1, portStatusPrimary: 3, flowRemovedPrimary: 5 } as const;

export function encodeHello(w: Writer, hello: Hello): void {
  const words = new Array<number>(Math.floor(Math.max(0, ...hello.versions) / 32) + 1).fill(0);
  for (const version of hello.versions) {
    const word = Math.floor(version / 32);
    words[word] = ((words[word] ?? 0) | (1 << (version % 32))) >>> 0;
  }
  const start = w.length;
  w.u16(versionBitmap);
  w.u16(4 + words.length * 4);
  for (const word of words) w.u32(word);
  w.pad8(start);
}

/** Reads a hello; one without a bitmap speaks the version in its header and all below (section 6.3.1). */
export function decodeHello(r: Reader, headerVersion: number): Hello {
  let versions: number[] | undefined;
  while (r.left >= 4) {
    const type = r.u16();
    const length = r.u16();
    if (length < 4) throw new DecodeError(`hello element of ${length} bytes`);
    const value = r.sub(length - 4);
    r.skipPad8(length);
    if (type !== versionBitmap) continue;
    versions = [];
    for (let base = 0; value.left >= 4; base += 32) {
      const word = value.u32();
      for (let bit = 0; bit < 32; bit += 1) if (((word >>> bit) & 1) === 1) versions.push(base + bit);
    }
  }
  return { kind: "hello", versions: versions ?? Array.from({ length: headerVersion }, (_, i) => i + 1) };
}

export function encodeFeatures(w: Writer, features: Features): void {
  w.u64(features.datapathId);
  w.u32(features.buffers);
  w.u8(features.tables);
  w.u8(features.auxiliaryId);
  w.zeros(2);
  w.u32(features.capabilities);
  w.zeros(4);
}

export function decodeFeatures(r: Reader): Features {
  const datapathId = r.u64();
  const buffers = r.u32();
  const tables = r.u8();
  const auxiliaryId = r.u8();
  r.skip(2);
  return { kind: "featuresReply", datapathId, buffers, tables, auxiliaryId, capabilities: r.u32() };
}

export function encodeConfig(w: Writer, config: SwitchConfig): void {
  w.u16(config.flags);
  w.u16(config.missSendLength);
}

export function decodeConfig(r: Reader): SwitchConfig {
  return { flags: r.u16(), missSendLength: r.u16() };
}

export function encodeSetAsync(w: Writer, set: SetAsync): void {
  const put = (type: number, mask: number) => {
    w.u16(type);
    w.u16(8);
    w.u32(mask);
  };
  put(AsyncProperty.packetInPrimary, set.packetIn);
  put(AsyncProperty.portStatusPrimary, set.portStatus);
  put(AsyncProperty.flowRemovedPrimary, set.flowRemoved);
}

export function decodeSetAsync(r: Reader): SetAsync {
  let packetIn = 0;
  let portStatus = 0;
  let flowRemoved = 0;
  while (r.left > 0) {
    const type = r.u16();
    const length = r.u16();
    if (length < 4) throw new DecodeError(`async property of ${length} bytes`);
    const value = r.sub(length - 4);
    r.skipPad8(length);
    if (type === AsyncProperty.packetInPrimary) packetIn = value.u32();
    else if (type === AsyncProperty.portStatusPrimary) portStatus = value.u32();
    else if (type === AsyncProperty.flowRemovedPrimary) flowRemoved = value.u32();
  }
  return { kind: "setAsync", packetIn, portStatus, flowRemoved };
}
