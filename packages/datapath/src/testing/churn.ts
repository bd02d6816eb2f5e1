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

/** Opens connections from a machine for so long. Each is answered by whoever is outside; of three one is ended in turn, one reset, and one left alone. */
export async function churn(world: World, { seconds, rate, sources, destinations }: ChurnPlan): Promise<ChurnFigures> {
  const wire = await outside(world);
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
      const ports = { src: dst, dst: src };
      if ((flags & syn) !== 0) wire.send(tcp(4, far, router, { ...ports, flags: syn | ack, seq: 900, ack: 101 }));
      else if ((flags & fin) !== 0) wire.send(tcp(4, far, router, { ...ports, flags: fin | ack, seq: 901, ack: 102 }));
    }
    for (const frame of world.arrived(a).all.slice(got)) {
      got += 1;
      const packet = new Frame(frame);
      const [src, dst, flags] = [packet.get("tcp_src"), packet.get("tcp_dst"), packet.get("tcp_flags")];
      if (src === undefined || dst === undefined || flags === undefined) continue;
      const ports = { src: dst, dst: src };
      if ((flags & syn) !== 0) {
        figures.answered += 1;
        const kind = figures.answered % 3;
        await world.send(a, tcp(4, a, through, { ...ports, flags: ack, seq: 101, ack: 901 }));
        if (kind === 0) await world.send(a, tcp(4, a, through, { ...ports, flags: fin | ack, seq: 101, ack: 901 }));
        if (kind === 1) await world.send(a, tcp(4, a, through, { ...ports, flags: rst, seq: 101 }));
      } else if ((flags & fin) !== 0) {
        figures.ended += 1;
        await world.send(a, tcp(4, a, through, { ...ports, flags: ack, seq: 102, ack: 902 }));
      }
    }
  };
  const begun = performance.now();
  for (let passed = 0; passed < seconds * 1000; passed = performance.now() - begun) {
    // As many as are due by now: what the clock is for here is the rate, not a wait.
    while (figures.opened < (passed / 1000) * rate) {
      const src = 20_000 + (figures.opened % sources);
      const dst = 8_000 + (Math.floor(figures.opened / sources) % destinations);
      figures.opened += 1;
      await world.send(a, tcp(4, a, through, { src, dst, seq: 100 + 50_000 * Math.floor(figures.opened / sources) }));
    }
    await turn();
    await pause(2);
  }
  return figures;
}
