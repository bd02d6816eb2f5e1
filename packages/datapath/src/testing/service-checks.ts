/** Checks of the way to the host's services: who asks is told by a number, the answer finds its way back, and nobody is what its port is not. */
import assert from "node:assert/strict";
import {
  Classify,
  limits,
  Metadata,
  machinesMac,
  type Row,
  row,
  ServiceIn,
  serviceAddress,
  serviceAddresses,
  serviceIngress,
  serviceMac,
} from "@selvage/pipeline";
import type { Check } from "./check.ts";
import { arpReply, arpRequest, neighbourSolicitation, type Speaker } from "./frames.ts";
import { ping, udpBetween } from "./ip-frames.ts";
import { type TestPort, testPort } from "./topology.ts";
import { sameBytes, type World } from "./world.ts";

const a = testPort(1, 1, 0);
const b = testPort(2, 2, 0);
const ports = [a, b] as const;
const versions = [4, 6] as const;

/** An interface that says it is the services': what a host's programs send and get. */
const services: TestPort = { ...testPort(3, 3, 0), id: serviceIngress };
const asked = { mac: serviceMac, ip4: serviceAddresses.metadata[4], ip6: serviceAddresses.metadata[6] };

function numberOf(port: TestPort): Speaker {
  const as = (version: 4 | 6): string => serviceAddress(port.key, 0, version) ?? assert.fail();
  return { mac: machinesMac, ip4: as(4), ip6: as(6) };
}

const rowsOf = (port: TestPort): readonly Row[] => {
  const as = numberOf(port);
  const back = { mac: port.mac, port: port.key };
  return [
    row(Classify, { ingress: serviceIngress }, "service"),
    row(Metadata, { srcPort: port.key, ip4Src: port.ip4 }, "serve4", { as: as.ip4 }, "address"),
    row(Metadata, { srcPort: port.key, ip6Src: port.ip6 }, "serve6", { as: as.ip6 }, "address"),
    row(ServiceIn, { ip4Dst: as.ip4 }, "restore4", { ...back, address: port.ip4 }, "address"),
    row(ServiceIn, { ip6Dst: as.ip6 }, "restore6", { ...back, address: port.ip6 }, "address"),
  ];
};

/** Both ports with their rows, and the services' interface. */
async function build(world: World): Promise<void> {
  await world.open(0);
  for (const port of [...ports, services]) await world.plug(port);
  await world.datapath(0).adopt([...world.rows(0, ports), ...ports.flatMap(rowsOf)]);
}

const question = (version: 4 | 6, from: Speaker, mark: number, to: Speaker = asked): Uint8Array =>
  udpBetween(version, from, to, { src: 40_000, dst: 80 }, Uint8Array.of(mark >> 8, mark & 255, 1, 2));
const answer = (version: 4 | 6, to: Speaker, mark: number): Uint8Array =>
  udpBetween(version, asked, to, { src: 80, dst: 40_000 }, Uint8Array.of(mark >> 8, mark & 255, 3, 4));

export const serviceChecks: readonly Check[] = [
  {
    name: "what a machine asks of the host's services comes to them under its port's number, and the answer to the machine",
    run: async (world) => {
      await build(world);
      for (const version of versions) {
        for (const port of ports) {
          const mark = world.mark();
          // By a router's MAC as by the services' own.
          for (const mac of [serviceMac, "fa:16:3e:00:00:fe"]) {
            await world.send(port, question(version, port, mark, { ...asked, mac }));
            const as = question(version, numberOf(port), mark);
            await world.until("it arrives", async () => world.count(services, as) === (mac === serviceMac ? 1 : 2));
          }
          const reply = answer(version, numberOf(port), mark);
          await world.send(services, reply);
          await world.arrives(port, answer(version, port, mark), `IPv${version}: the answer to ${port.id}`);
          assert.equal(world.count(port === a ? b : a, answer(version, port, mark)), 0);
        }
      }
    },
  },
  {
    name: "every network answers who has the services' addresses, whatever rows there are",
    run: async (world) => {
      await world.build(ports);
      for (const port of ports) {
        for (const { 4: ip4, 6: ip6 } of Object.values(serviceAddresses)) {
          await world.send(port, arpRequest(port, ip4));
          await world.arrives(port, arpReply({ mac: serviceMac, ip4 }, port), "the services' MAC");
          const solicitation = neighbourSolicitation(port, ip6);
          await world.send(port, solicitation);
          await world
            .heard(0)
            .punts.first(
              ({ kind, frame }) => kind === "nd" && sameBytes(frame, solicitation),
              "a punt",
              world.deadline,
            );
        }
      }
    },
  },
  {
    name: "who asks the host's services from an address that its port has no row of is denied",
    run: async (world) => {
      await world.build(ports);
      for (const version of versions)
        await world.isDropped(question(version, a, world.mark()), a, b, "metadata-denied");
    },
  },
  {
    name: "what the services send to a number that is nobody's is dropped, and what they say to all is nobody's business",
    run: async (world) => {
      await build(world);
      const nobody = { ...numberOf(a), ip4: serviceAddress(9, 0, 4) ?? "", ip6: serviceAddress(9, 0, 6) ?? "" };
      for (const version of versions)
        await world.drops(0, 1, "port-not-bound", async () => {
          await world.send(services, answer(version, nobody, world.mark()));
        });
      const before = await world.dropped(0, "port-not-bound");
      const all = { mac: "33:33:00:00:00:16", ip4: "224.0.0.22", ip6: "ff02::16" };
      await world.send(services, answer(6, all, world.mark()));
      await world.drops(0, 1, "port-not-bound", async () => {
        await world.send(services, answer(4, nobody, world.mark()));
      });
      assert.equal(await world.dropped(0, "port-not-bound"), before + 1);
    },
  },
  {
    name: "a port that asks the host's services above its rate loses what is too much, and another loses nothing",
    run: async (world) => {
      await build(world);
      const { rate, burst, reason } = limits.service;
      const began = performance.now();
      for (let n = 1; n <= 4 * burst; n += 1) await world.send(a, ping(4, "request", a, asked, { id: n }));
      for (const version of versions) {
        const mark = world.mark();
        await world.send(b, question(version, b, mark));
        await world.arrives(services, question(version, numberOf(b), mark), `IPv${version} of the other port`);
      }
      const seconds = (performance.now() - began) / 1_000;
      const least = 3 * burst - rate * (seconds + 1);
      await world.until("what is too much is counted", async () => (await world.dropped(0, reason)) >= least);
      assert.ok((await world.dropped(0, reason)) <= 4 * burst - burst / 2, "a burst passes");
    },
  },
];
