/** A fabric at work in a test: its drivers open, its machines plugged, and the questions that a check asks of it. */
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { ReasonCode } from "@selvage/base";
import type { Row } from "@selvage/pipeline";
import type { Datapath, InstalledRow } from "../datapath.ts";
import { Recorder, type TestFabric, type TestHost } from "./fabric.ts";
import { udp } from "./frames.ts";
import { Journal, Late } from "./journal.ts";
import { physicalPort } from "./outside-topology.ts";
import { rowsFor, type TestPort } from "./topology.ts";

const noRows = { added: [], removed: [], modified: [] } as const;

/** A difference of rows, of which only what is there need be said. */
export const delta = (part: Partial<Parameters<Datapath["apply"]>[0]>): Parameters<Datapath["apply"]>[0] => ({
  ...noRows,
  ...part,
});

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** A machine on the physical network. */
export interface Outsider {
  readonly send: (frame: Uint8Array) => void;
  readonly arrived: Journal<Uint8Array>;
}

export class World {
  readonly fabric: TestFabric;
  readonly #recorders = new Map<number, Recorder>();
  readonly #arrived = new Map<string, Journal<Uint8Array>>();
  #marks = 0;

  constructor(fabric: TestFabric) {
    this.fabric = fabric;
  }

  get deadline(): number {
    return this.fabric.deadline;
  }

  get addresses(): readonly string[] {
    return this.fabric.hosts.map(({ address }) => address);
  }

  host(place: number): TestHost {
    const host = this.fabric.hosts[place];
    if (host === undefined) throw new RangeError(`the fabric has no host ${place}`);
    return host;
  }

  datapath(place: number): Datapath {
    return this.host(place).datapath;
  }

  /** What the driver of a host has said since it was opened last. */
  heard(place: number): Recorder {
    const recorder = this.#recorders.get(place);
    if (recorder === undefined) throw new Error(`the driver of host ${place} is not open`);
    return recorder;
  }

  /** A number that no frame bears yet. */
  mark(): number {
    this.#marks += 1;
    return this.#marks;
  }

  /** Opens a host's driver and waits until it is ready. */
  async open(place: number): Promise<Recorder> {
    const recorder = new Recorder();
    this.#recorders.set(place, recorder);
    await this.datapath(place).open(recorder);
    await recorder.life.first((event) => event === "ready", `host ${place} is ready`, this.deadline);
    return recorder;
  }

  /** Plugs a port's machine and waits until the driver has seen it. */
  async plug(port: TestPort): Promise<Journal<Uint8Array>> {
    const recorder = this.heard(port.host);
    const from = recorder.attached.all.length;
    const arrived = await this.host(port.host).plug(port.id);
    this.#arrived.set(port.id, arrived);
    await recorder.attached.first(
      (all) => all.some((each) => each.port === port.id),
      `${port.id} is attached`,
      this.deadline,
      from,
    );
    return arrived;
  }

  /** Joins a host to the physical network and waits until its driver, which is open, has seen the way there. */
  async join(place: number): Promise<void> {
    await this.host(place).join();
    await this.heard(place).attached.first(
      (all) => all.some((each) => each.port === physicalPort),
      `host ${place} has a way to the physical network`,
      this.deadline,
    );
  }

  /** Plugs a machine into the physical network, outside of all hosts. */
  outside(who: string): Outsider {
    const arrived = new Journal<Uint8Array>();
    return { send: this.fabric.physical.plug(who, (frame) => arrived.add(frame)), arrived };
  }

  /** Unplugs it and waits until the driver has seen that. */
  async unplug(port: TestPort): Promise<void> {
    const recorder = this.heard(port.host);
    const from = recorder.attached.all.length;
    await this.host(port.host).unplug(port.id);
    await recorder.attached.first(
      (all) => !all.some((each) => each.port === port.id),
      `${port.id} is detached`,
      this.deadline,
      from,
    );
  }

  /** Opens the hosts of the ports, plugs all and adopts their rows: from here on packets flow. */
  async build(ports: readonly TestPort[]): Promise<void> {
    const places = this.placesOf(ports);
    for (const place of places) await this.open(place);
    for (const port of ports) await this.plug(port);
    for (const place of places) await this.datapath(place).adopt(this.rows(place, ports));
  }

  placesOf(ports: readonly TestPort[]): readonly number[] {
    return [...new Set(ports.map(({ host }) => host))];
  }

  rows(place: number, ports: readonly TestPort[]): readonly Row[] {
    return rowsFor(place, ports, this.addresses);
  }

  send(port: TestPort, frame: Uint8Array): Promise<void> {
    return this.host(port.host).send(port.id, frame);
  }

  /** All frames that came out at a port. */
  arrived(port: TestPort): Journal<Uint8Array> {
    const arrived = this.#arrived.get(port.id);
    if (arrived === undefined) throw new Error(`${port.id} was never plugged`);
    return arrived;
  }

  /** Waits for this very frame at a port. */
  async arrives(port: TestPort, frame: Uint8Array, what = `a frame arrives at ${port.id}`): Promise<void> {
    await this.arrived(port).first((each) => sameBytes(each, frame), what, this.deadline);
  }

  /** How often this very frame has come out at a port. */
  count(port: TestPort, frame: Uint8Array): number {
    return this.arrived(port).all.filter((each) => sameBytes(each, frame)).length;
  }

  /** A datagram of its own goes from one port to another, and arrives as it was sent. */
  async reaches(from: TestPort, to: TestPort, version: 4 | 6 = 4): Promise<void> {
    const frame = udp(version, from, to, this.mark());
    await this.send(from, frame);
    await this.arrives(to, frame, `IPv${version} from ${from.id} reaches ${to.id}`);
  }

  /** As `reaches`, sending again and again: for what is in force only some time after an interface has appeared. */
  async comesToReach(from: TestPort, to: TestPort): Promise<void> {
    const seen = this.arrived(to).all.length;
    const sent: Uint8Array[] = [];
    await this.until(`${from.id} comes to reach ${to.id}`, async () => {
      const frame = udp(4, from, to, this.mark());
      sent.push(frame);
      await this.send(from, frame);
      return this.arrived(to)
        .all.slice(seen)
        .some((each) => sent.some((one) => sameBytes(one, each)));
    });
  }

  /**
   * A frame arrives at none of the ports. `witness` reaches each of them behind it, on a way that is known to work, so that
   * what would have come has come.
   */
  async arrivesNowhere(frame: Uint8Array, ports: readonly TestPort[], witness: TestPort): Promise<void> {
    for (const port of ports) {
      await this.reaches(witness, port);
      assert.equal(this.count(port, frame), 0, `${port.id} must not get it`);
    }
  }

  /** Asks for a fact until it is so. Only for what a switch does not announce. Throws Late. */
  async until(what: string, fact: () => Promise<boolean>): Promise<void> {
    const turns = 40;
    for (let turn = 0; turn < turns; turn += 1) {
      if (await fact()) return;
      await pause(this.deadline / turns);
    }
    throw new Late(what, this.deadline);
  }

  async dropped(place: number, reason: ReasonCode): Promise<number> {
    return (await this.datapath(place).drops()).get(reason) ?? 0;
  }

  /** What is done makes a host drop `times` packets for a reason, and no more. */
  async drops(place: number, times: number, reason: ReasonCode, act: () => Promise<void>): Promise<void> {
    const before = await this.dropped(place, reason);
    await act();
    await this.until(`${reason} is counted`, async () => (await this.dropped(place, reason)) >= before + times);
    assert.equal((await this.dropped(place, reason)) - before, times, reason);
  }

  /** A frame is dropped on its sender's host, or the one told, for a reason; its receiver does not get it. */
  async isDropped(
    frame: Uint8Array,
    from: TestPort,
    to: TestPort,
    reason: ReasonCode,
    place = from.host,
  ): Promise<void> {
    const before = this.count(to, frame);
    await this.drops(place, 1, reason, () => this.send(from, frame));
    assert.equal(this.count(to, frame), before, `${to.id} does not get it`);
  }

  /** A frame is sent and arrives, as it was or as it is told. */
  async passes(frame: Uint8Array, from: TestPort, to: TestPort, as: Uint8Array = frame, what?: string): Promise<void> {
    const before = this.count(to, as);
    await this.send(from, frame);
    const arrived = this.arrived(to);
    if (before === 0) await this.arrives(to, as, what ?? `a frame of ${from.id} arrives at ${to.id}`);
    else await this.until("it arrives again", async () => this.count(to, as) > before);
    assert.equal(this.count(to, as), before + 1, `it arrives once among ${arrived.all.length}`);
  }

  async installedRow(place: number, row: Row): Promise<InstalledRow | undefined> {
    return (await this.datapath(place).installed()).find((each) => each.row?.id === row.id);
  }
}
