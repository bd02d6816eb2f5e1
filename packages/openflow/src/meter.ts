/** Meters: rate limits by number (OpenFlow 1.5.1, sections 7.3.4.5, 7.3.5.13 and 7.3.5.14). */
import { DecodeError, type Reader, type Writer } from "./wire.ts";

export type MeterCommand = "add" | "modify" | "delete";

/** Meter numbers with a meaning of their own. */
export const MeterId = { max: 0xffff_0000, slowPath: 0xffff_fffd, controller: 0xffff_fffe, all: 0xffff_ffff } as const;

/** Bits of a meter's flags: the unit of its rates (kilobits or packets a second), whether bands have a burst, whether it counts. */
export const MeterFlag = { kilobits: 1, packets: 2, burst: 4, statistics: 8 } as const;

/** What happens to packets above a rate. */
export type MeterBand =
  | { readonly kind: "drop"; readonly rate: number; readonly burst: number }
  | { readonly kind: "dscpRemark"; readonly rate: number; readonly burst: number; readonly precedence: number };

export interface MeterMod {
  readonly kind: "meterMod";
  readonly command: MeterCommand;
  readonly meter: number;
  readonly flags: number;
  readonly bands: readonly MeterBand[];
}

/** A meter as the switch tells it. */
export interface MeterConfig {
  readonly meter: number;
  readonly flags: number;
  readonly bands: readonly MeterBand[];
}

/** What went through a meter, and what went above each of its bands. */
export interface MeterCounters {
  readonly meter: number;
  readonly flows: number;
  readonly packets: bigint;
  readonly bytes: bigint;
  readonly seconds: number;
  readonly bands: readonly { readonly packets: bigint; readonly bytes: bigint }[];
}

const commands: readonly MeterCommand[] = ["add", "modify", "delete"];
const commandNumber = { add: 0, modify: 1, delete: 2 } as const satisfies Record<MeterCommand, number>;
const BandType = { drop: 1, dscpRemark: 2 } as const;
const bandLength = 16;

/** A complete meter-mod. */
export function meterMod(parts: Partial<Omit<MeterMod, "kind">> & { readonly meter: number }): MeterMod {
  return { kind: "meterMod", command: "add", flags: MeterFlag.packets, bands: [], ...parts };
}

export function encodeMeterMod(w: Writer, mod: MeterMod): void {
  w.u16(commandNumber[mod.command]);
  w.u16(mod.flags);
  w.u32(mod.meter);
  encodeBands(w, mod.bands);
}

export function decodeMeterMod(r: Reader): MeterMod {
  const number = r.u16();
  const command = commands[number];
  if (command === undefined) throw new DecodeError(`meter-mod command ${number}`);
  const flags = r.u16();
  const meter = r.u32();
  return { kind: "meterMod", command, flags, meter, bands: decodeBands(r) };
}

export function encodeMeterConfig(w: Writer, config: MeterConfig): void {
  w.u16(8 + config.bands.length * bandLength);
  w.u16(config.flags);
  w.u32(config.meter);
  encodeBands(w, config.bands);
}

export function decodeMeterConfig(outer: Reader): MeterConfig {
  const r = outer.sub(outer.peekU16(0));
  r.skip(2);
  const flags = r.u16();
  const meter = r.u32();
  return { meter, flags, bands: decodeBands(r) };
}

export function encodeMeterCounters(w: Writer, counters: MeterCounters): void {
  w.u32(counters.meter);
  w.u16(40 + counters.bands.length * 16);
  w.zeros(6);
  w.u32(counters.flows);
  w.u64(counters.packets);
  w.u64(counters.bytes);
  w.seconds(counters.seconds);
  for (const band of counters.bands) {
    w.u64(band.packets);
    w.u64(band.bytes);
  }
}

export function decodeMeterCounters(outer: Reader): MeterCounters {
  const r = outer.sub(outer.peekU16(4));
  const meter = r.u32();
  r.skip(8);
  const flows = r.u32();
  const packets = r.u64();
  const bytes = r.u64();
  const seconds = r.seconds();
  const bands: { packets: bigint; bytes: bigint }[] = [];
  while (r.left > 0) bands.push({ packets: r.u64(), bytes: r.u64() });
  return { meter, flows, packets, bytes, seconds, bands };
}

function encodeBands(w: Writer, bands: readonly MeterBand[]): void {
  for (const band of bands) {
    w.u16(BandType[band.kind]);
    w.u16(bandLength);
    w.u32(band.rate);
    w.u32(band.burst);
    w.u8(band.kind === "dscpRemark" ? band.precedence : 0);
    w.zeros(3);
  }
}

function decodeBands(r: Reader): readonly MeterBand[] {
  const bands: MeterBand[] = [];
  while (r.left > 0) {
    const type = r.u16();
    const length = r.u16();
    if (length !== bandLength) throw new DecodeError(`meter band of ${length} bytes`);
    const rate = r.u32();
    const burst = r.u32();
    const precedence = r.u8();
    r.skip(3);
    if (type === BandType.drop) bands.push({ kind: "drop", rate, burst });
    else if (type === BandType.dscpRemark) bands.push({ kind: "dscpRemark", rate, burst, precedence });
    else throw new DecodeError(`meter band type ${type}`);
  }
  return bands;
}
