/**
 * One machine floods what its host answers (DHCP, neighbour discovery, ARP) as fast as it can; another gets its lease and its neighbour all the
 * same. Each port's questions go through meters of its own in the switch, and behind them through token buckets of its own in the agent.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { arpRequest, broadcastMac, dhcpDiscover, Journal, neighbourSolicitation } from "@selvage/datapath/testing";
import { decode, encode, type Packet } from "@selvage/packet";
import { guest, metric, patience, Rig } from "./rig.ts";

const [flooder, quiet, neighbour] = [guest(1, 0), guest(2, 0), guest(3, 1)];
/** Of each kind, a second. */
const floodRate = 6_000;
const floodSeconds = 4;
/** So many frames of each kind are sent at least, however long that takes. */
const leastFlood = 5_000;
const leastRounds = 2;

let rig: Rig;
before(async () => {
  rig = await Rig.start([flooder, quiet, neighbour]);
});
after(() => rig?.[Symbol.asyncDispose]());

const packetsOf = (journal: Journal<Uint8Array>): readonly Packet[] =>
  journal.all.flatMap((frame) => {
    const read = decode(frame);
    return read.ok ? [read.packet] : [];
  });

interface Flood {
  readonly send: (frame: Uint8Array) => void;
  readonly kinds: readonly ((n: number) => Uint8Array)[];
  readonly stopped: AbortSignal;
  /** Is told how many went of each kind. */
  readonly sending: Journal<number>;
}

/** Sends frames of each kind at the rate, in small heaps, until `stopped` and enough. Gives how many went of each kind. */
async function flood({ send, kinds, stopped, sending }: Flood) {
  const start = performance.now();
  let sent = 0;
  while (!stopped.aborted || sent < leastFlood) {
    const due = Math.floor(((performance.now() - start) / 1000) * floodRate);
    for (const until = Math.min(due, sent + 250); sent < until; sent += 1) for (const make of kinds) send(make(sent));
    sending.add(sent);
    await new Promise((next) => setTimeout(next, 2));
  }
  return { each: sent, seconds: (performance.now() - start) / 1000 };
}

/** What went through a meter of the switch and what was above its rate, by the first port's and the second port's own meters. */
async function metersOf(): Promise<ReadonlyMap<number, { readonly packets: number; readonly dropped: number }>> {
  const dump = await rig.site(0).host.ofctl("meter-stats");
  return new Map(
    [...dump.matchAll(/meter:(\d+) .*?packet_in_count:(\d+) [\s\S]*?0: packet_count:(\d+)/g)].map(
      ([, meter, packets, dropped]) => [Number(meter), { packets: Number(packets), dropped: Number(dropped) }],
    ),
  );
}

/** Where the meters of each machine's port begin, in the order of plugging: they are numbered 8 times its slot, by kind (packages/datapath/src/ovs/punts.ts). */
async function slots(): Promise<readonly number[]> {
  const flows = await rig.site(0).host.ofctl("dump-flows");
  const meters = new Map<number, readonly number[]>();
  for (const [, port, meter] of flows.matchAll(/table=250,.*in_port=(\d+) actions=meter:(\d+)/g))
    meters.set(Number(port), [...(meters.get(Number(port)) ?? []), Number(meter)]);
  // Other interfaces have a flow or two there.
  const machines = [...meters].filter(([, all]) => all.length > 2).sort(([one], [other]) => one - other);
  return machines.map(([, all]) => 8 * Math.floor(Math.min(...all) / 8));
}

test("a flood of DHCP, neighbour discovery and ARP by one machine takes nothing from another's lease and neighbours", {
  timeout: 600_000,
}, async (context) => {
  const { host, metrics } = rig.site(0);
  const [toFlooder, toQuiet] = [new Journal<Uint8Array>(), new Journal<Uint8Array>()];
  const flooding = await host.plugWire(flooder.id, (frame) => toFlooder.add(frame));
  const asking = await host.plugWire(quiet.id, (frame) => toQuiet.add(frame));
  await rig.up(0, flooder.id, quiet.id);

  /** Asks for a lease as a client does (RFC 2131, section 3.1) and gives the milliseconds until it has it. */
  const lease = async (xid: number): Promise<number> => {
    const start = performance.now();
    const answered = async (type: string) => {
      const is = (frame: Uint8Array): boolean => {
        const read = decode(frame);
        return read.ok && read.packet.dhcp?.xid === xid && read.packet.dhcp.options.messageType === type;
      };
      await toQuiet.first(is, `the ${type} of question ${xid}`, patience);
    };
    host.send(asking, dhcpDiscover(quiet.mac, xid));
    await answered("offer");
    host.send(
      asking,
      encode({
        eth: { src: quiet.mac, dst: broadcastMac },
        ipv4: { src: "0.0.0.0", dst: "255.255.255.255" },
        udp: { src: 68, dst: 67 },
        dhcp: {
          op: "request",
          xid,
          chaddr: quiet.mac,
          options: { messageType: "request", serverId: "10.0.0.1", requestedAddress: quiet.ip4 },
        },
      }),
    );
    await answered("ack");
    return performance.now() - start;
  };
  /** Asks where a neighbour's IPv6 address is (RFC 4861), and gives the milliseconds until it is told. */
  const resolve = async (): Promise<number> => {
    const [start, from] = [performance.now(), toQuiet.all.length];
    host.send(asking, neighbourSolicitation(quiet, neighbour.ip6));
    const is = (frame: Uint8Array): boolean => {
      const read = decode(frame);
      return read.ok && read.packet.icmpv6?.kind === "neighbor-advertisement";
    };
    await toQuiet.first(is, "the neighbour's advertisement", patience, from);
    return performance.now() - start;
  };
  const arp = async (): Promise<number> => {
    const [start, from] = [performance.now(), toQuiet.all.length];
    host.send(asking, arpRequest(quiet, neighbour.ip4));
    const is = (frame: Uint8Array): boolean => {
      const read = decode(frame);
      return read.ok && read.packet.arp?.op === 2;
    };
    await toQuiet.first(is, "the neighbour's ARP answer", patience, from);
    return performance.now() - start;
  };

  const calm = { lease: await lease(1), nd: await resolve(), arp: await arp() };
  const before = await metersOf();
  const stop = new AbortController();
  const floodEnds = performance.now() + floodSeconds * 1_000;
  const sending = new Journal<number>();
  const flooded = flood({
    send: (frame) => host.send(flooding, frame),
    kinds: [
      (n) => dhcpDiscover(flooder.mac, 1_000_000 + n),
      () => neighbourSolicitation(flooder, neighbour.ip6),
      () => arpRequest(flooder, neighbour.ip4),
    ],
    stopped: stop.signal,
    sending,
  });
  const under = { lease: [] as number[], nd: [] as number[], arp: [] as number[] };
  // One lease and one question to a second's worth of the flood: within what each port may ask.
  for (let round = 0; round < leastRounds || performance.now() < floodEnds; round += 1) {
    under.lease.push(await lease(100 + round));
    under.nd.push(await resolve());
    under.arp.push(await arp());
    const [from, much] = [sending.all.length, (sending.last ?? 0) + floodRate];
    await sending.first((sent) => sent >= much, "a second's worth of the flood", patience, from);
  }
  stop.abort();
  const { each, seconds } = await flooded;
  const meters = await metersOf();
  const through = (meter: number) => {
    const [was, is] = [before.get(meter), meters.get(meter)];
    const packets = (is?.packets ?? 0) - (was?.packets ?? 0);
    const dropped = (is?.dropped ?? 0) - (was?.dropped ?? 0);
    return { packets, dropped, passed: packets - dropped };
  };
  const [first = 0, second = 0] = await slots();
  const [noisy, calmly] = [
    { dhcp: through(first + 1), nd: through(first + 2) },
    { dhcp: through(second + 1), nd: through(second + 2) },
  ];
  const offers = packetsOf(toFlooder).filter(({ dhcp }) => dhcp?.options.messageType === "offer").length;
  const advertisements = packetsOf(toFlooder).filter(({ icmpv6 }) => icmpv6?.kind === "neighbor-advertisement").length;
  const limited = await Promise.all(
    ["dhcp4", "nd"].map((kind) => metric(metrics, "punts_total", `{kind="${kind}",outcome="limited"}`)),
  );
  const most = (times: readonly number[]): string => Math.max(...times).toFixed(1);
  context.diagnostic(
    `${each} frames of each of 3 kinds in ${seconds.toFixed(1)} s (${Math.round(each / seconds)}/s each); ` +
      `the flooder got ${offers} offers and ${advertisements} advertisements; the agent's buckets refused ${limited.join(" and ")}`,
  );
  context.diagnostic(`the flooder's meters: ${JSON.stringify(noisy)}; the other's: ${JSON.stringify(calmly)}`);
  context.diagnostic(
    `ms, calm → longest under the flood of ${under.lease.length} rounds: lease ${calm.lease.toFixed(1)} → ${most(under.lease)}, ` +
      `ND ${calm.nd.toFixed(1)} → ${most(under.nd)}, ARP ${calm.arp.toFixed(1)} → ${most(under.arp)}`,
  );
  assert.ok(each >= leastFlood, "it was a flood");
  // Every question of the other machine was answered: each is awaited above. None of them was cut by a meter.
  assert.ok(under.lease.length >= leastRounds);
  assert.deepEqual([calmly.dhcp.dropped, calmly.nd.dropped], [0, 0], "the other machine's meters let all of it pass");
  // 5 a second and 20 at once for DHCP, 20 and 40 for ND; a second over for what is on its way and for how meters count bursts.
  const bound = (rate: number, burst: number) => rate * (seconds + 2) + 2 * burst;
  assert.ok(noisy.dhcp.passed <= bound(5, 20), JSON.stringify(noisy.dhcp));
  assert.ok(noisy.nd.passed <= bound(20, 40), JSON.stringify(noisy.nd));
  assert.ok(noisy.dhcp.dropped > 0.9 * noisy.dhcp.packets, "the switch itself keeps the flood from the agent");
  assert.ok(offers > 0 && offers <= bound(5, 20), `${offers} offers`);
  assert.ok(advertisements > 0 && advertisements <= bound(20, 40), `${advertisements} advertisements`);
});
