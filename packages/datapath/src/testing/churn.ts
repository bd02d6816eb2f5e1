/**
 * Connections through source translation, opened and ended as fast as is asked, between few ports so that each is used again and again: what ended the switch
 * with translations of another form (design, section 3.5).
 */
import { setTimeout as pause } from "node:timers/promises";
import { Frame, TcpFlag } from "@selvage/packet";
import { tcp } from "./ip-frames.ts";
import { a, far, gateway, one, outside, spokenBy } from "./outside-world.ts";
import type { World } from "./world.ts";

export interface ChurnPlan {
  readonly seconds: number;
  /** So many are to have ended, however long that takes. */
  readonly least?: number;
  /** Connections a second. */
  readonly rate: number;
  /** Ports of the machine that take turns, and ports of the other side. */
  readonly sources: number;
  readonly destinations: number;
}

export interface ChurnFigures {
  readonly opened: number;
  /** Whose handshake came to its end at the machine. */
  readonly answered: number;
  readonly ended: number;
  /** Frames that left with another address than the router's: there must be none. */
  readonly leaked: number;
}

const { syn, ack, fin, rst } = TcpFlag;
const through = { ...far, mac: one.mac };

/** Sequence and acknowledgement number of a segment behind an IPv4 header without options. */
const numbersOf = (frame: Uint8Array): { readonly seq: number; readonly ack: number } => {
  const view = new DataView(frame.buffer, frame.byteOffset);
  return { seq: view.getUint32(38), ack: view.getUint32(42) };
};
const after = (number: number): number => (number + 1) >>> 0;

/** Opens connections from a machine for so long. Each is answered by whoever is outside; every other one is reset, and the rest are ended by both in turn. */
export async function churn(
  world: World,
  { seconds, least = 0, rate, sources, destinations }: ChurnPlan,
): Promise<ChurnFigures> {
  // Ports enough that they do not run out: one stays taken for some seconds.
  const wire = await outside(world, { gateway: { leases: [{ host: 0, first: 0x8000, size: 0x8000 }] } });
  const figures = { opened: 0, answered: 0, ended: 0, leaked: 0 };
  let seen = 0;
  let got = 0;
  const router = spokenBy(0, gateway.address.ip4);
  const turn = async (): Promise<void> => {
    for (const frame of wire.arrived.all.slice(seen)) {
      seen += 1;
      const packet = new Frame(frame);
      const [src, dst, flags] = [packet.get("tcp_src"), packet.get("tcp_dst"), packet.get("tcp_flags")];
      if (src === undefined || dst === undefined || flags === undefined) continue;
      if (packet.get("ip_src") !== 0xcb00710a) figures.leaked += 1;
      const answer = { src: dst, dst: src, ack: after(numbersOf(frame).seq) };
      if ((flags & syn) !== 0) wire.send(tcp(4, far, router, { ...answer, flags: syn | ack, seq: 900 }));
      else if ((flags & fin) !== 0) wire.send(tcp(4, far, router, { ...answer, flags: fin | ack, seq: 901 }));
    }
    for (const frame of world.arrived(a).all.slice(got)) {
      got += 1;
      const packet = new Frame(frame);
      const [src, dst, flags] = [packet.get("tcp_src"), packet.get("tcp_dst"), packet.get("tcp_flags")];
      if (src === undefined || dst === undefined || flags === undefined) continue;
      const numbers = numbersOf(frame);
      const next = { src: dst, dst: src, seq: numbers.ack, ack: after(numbers.seq) };
      if ((flags & syn) !== 0) {
        figures.answered += 1;
        await world.send(a, tcp(4, a, through, { ...next, flags: ack }));
        const last = figures.answered % 2 === 0 ? fin | ack : rst | ack;
        await world.send(a, tcp(4, a, through, { ...next, flags: last }));
        if ((last & rst) !== 0) figures.ended += 1;
      } else if ((flags & fin) !== 0) {
        figures.ended += 1;
        await world.send(a, tcp(4, a, through, { ...next, flags: ack }));
      }
    }
  };
  const begun = performance.now();
  for (let passed = 0; passed < seconds * 1000 || figures.ended < least; passed = performance.now() - begun) {
    // As many as are due by now: what the clock is for here is the rate, not a wait.
    while (figures.opened < (passed / 1000) * rate) {
      const src = 20_000 + (figures.opened % sources);
      const dst = 8_000 + (Math.floor(figures.opened / sources) % destinations);
      figures.opened += 1;
      await world.send(a, tcp(4, a, through, { src, dst, seq: (figures.opened * 100_003) >>> 0 }));
    }
    await turn();
    await pause(2);
  }
  return figures;
}
