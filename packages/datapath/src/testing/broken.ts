/** Datapaths that are each wrong in one way, over the simulated one: the suite is itself held to catching every one of them. */
import {
  constant,
  contentsOf,
  drop,
  exact,
  F,
  goto,
  measure,
  optional,
  param,
  type Row,
  replicate,
  selvageProgram,
  set,
} from "@selvage/pipeline";
import type { Adoption, DatapathEvents, InstalledRow } from "../datapath.ts";
import { SimulatedDatapath, type SimulatedDatapathOptions } from "../simulated/datapath.ts";
import type { Trace } from "../simulated/interpreter.ts";
import type { TunnelHeader } from "../simulated/packet.ts";
import { actionsOf, type BrokenDatapath, type Delta, driver, executor } from "./broken-kinds.ts";
import { brokenOutside } from "./broken-outside.ts";
import { brokenPolicies } from "./broken-policies.ts";
import { brokenRouters } from "./broken-routers.ts";
import { brokenServices } from "./broken-services.ts";
import { brokenTimes } from "./broken-times.ts";
import { testMtu } from "./topology.ts";

const floodOnce = "a flooded frame goes once to each other port of the network, here and there, and never back";
const installedIsWanted = "what is adopted is installed, each row once, with the program's constants";
const punted = "a punted packet bears its port, its network and the frame unchanged";
const restart = "a switch that stops is lost, one that returns is ready, and adopt restores it";
const fullSize =
  "a frame of the network's MTU passes, here and to another host, and one byte more is dropped and counted";
const vxlanReach = "a network of VXLAN reaches its ports on other hosts beside those of Geneve, unicast and flooded";
const vxlanSource =
  "a packet by VXLAN is taken only from a host of that network, for a MAC of a port here, and never for a network of Geneve";
const limitedOutside =
  "fragments above a physical network's rate are dropped and counted, and machines' datagrams come whole";
const limited = "fragments above a port's rate are dropped and counted, and another port's datagrams come whole";
const spoofed = "what is spoofed is dropped and counted by its reason";

export const brokenDatapaths: readonly BrokenDatapath[] = [
  executor("lets as many fragments through as come", limited, "fragments", { constants: [] }),
  executor("lets as many in from outside as come", limitedOutside, "wire_fragments", { constants: [] }),
  executor("lets no fragments through", limited, "fragments", {
    actions: actionsOf("fragments", { limited: [drop("fragment-rate")] }),
  }),
  driver(
    "forgets to remove",
    "a removed row is out of force when apply resolves",
    class extends SimulatedDatapath {
      override apply(delta: Delta): Promise<void> {
        return super.apply({ ...delta, removed: [] });
      }
    },
  ),
  driver(
    "leaves modified rows as they were",
    "a modified row says the new thing, and only that, when apply resolves",
    class extends SimulatedDatapath {
      override apply(delta: Delta): Promise<void> {
        return super.apply({ ...delta, modified: [] });
      }
    },
  ),
  driver(
    "removes before it looks whether the row came back",
    "a row that goes in one difference and returns in the next is in force",
    class extends SimulatedDatapath {
      readonly #gone = new Set<string>();
      override apply(delta: Delta): Promise<void> {
        for (const { id } of delta.removed) this.#gone.add(id);
        return super.apply({ ...delta, added: delta.added.filter(({ id }) => !this.#gone.has(id)) });
      }
    },
  ),
  driver(
    "applies the first hundred rows only",
    "a thousand rows are applied at once, and taken away at once",
    class extends SimulatedDatapath {
      override apply(delta: Delta): Promise<void> {
        return super.apply({ ...delta, added: delta.added.slice(0, 100) });
      }
    },
  ),
  driver(
    "says nothing of refused rows",
    "a refused row rejects apply, and after adopt all is in order",
    class extends SimulatedDatapath {
      override async apply(delta: Delta): Promise<void> {
        await super.apply(delta).catch((error: unknown) => error);
      }
    },
  ),
  driver(
    "passes over rows of tables that it does not know",
    "a row of no table of the program is refused",
    class extends SimulatedDatapath {
      override apply(delta: Delta): Promise<void> {
        return super.apply({ ...delta, added: delta.added.filter(({ table }) => this.program.byName.has(table)) });
      }
    },
  ),
  driver(
    "loses the program's constants on adopt",
    installedIsWanted,
    class extends SimulatedDatapath {
      override async adopt(rows: Iterable<Row>): Promise<Adoption> {
        for (const row of this.program.constants) this.lose(row);
        return super.adopt(rows);
      }
    },
  ),
  driver(
    "never removes on adopt",
    "adopt takes away all that is not wanted, but not the program's constants",
    class extends SimulatedDatapath {
      override async adopt(rows: Iterable<Row>): Promise<Adoption> {
        const constants = new Set(this.program.constants);
        const held = (await this.installed()).flatMap(({ row }) => (row === null || constants.has(row) ? [] : [row]));
        return super.adopt([...held, ...rows]);
      }
    },
  ),
  driver(
    "clears the switch on adopt",
    "adopting the same rows again changes nothing",
    class extends SimulatedDatapath {
      override async adopt(rows: Iterable<Row>): Promise<Adoption> {
        await super.adopt([]);
        return super.adopt(rows);
      }
    },
  ),
  driver(
    "clears the switch on adopt, and counts as if it had not",
    "adopt changes only what differs, and counts it",
    class extends SimulatedDatapath {
      override async adopt(rows: Iterable<Row>): Promise<Adoption> {
        const adoption = await super.adopt(rows);
        this.forgetCounts();
        return adoption;
      }
    },
  ),
  driver(
    "reads back what it was told, not what the switch holds",
    "what was lost behind the driver's back is put again by adopt",
    class extends SimulatedDatapath {
      #told: readonly Row[] = [];
      override async adopt(rows: Iterable<Row>): Promise<Adoption> {
        this.#told = [...rows];
        return super.adopt(this.#told);
      }
      override async installed(): Promise<readonly InstalledRow[]> {
        return [...this.program.constants, ...this.#told].map((row) => ({ row, text: row.id, packets: 0 }));
      }
    },
  ),
  driver(
    "clears the switch when it is opened",
    "rows stay while no driver is there, and the next one finds nothing to change",
    class extends SimulatedDatapath {
      override async open(events: DatapathEvents): Promise<void> {
        await super.adopt([]);
        await super.open(events);
      }
    },
  ),
  driver(
    "never says that the switch is lost",
    restart,
    class extends SimulatedDatapath {
      override open(events: DatapathEvents): Promise<void> {
        return super.open({ ...events, lost: () => this.drops() });
      }
    },
  ),
  driver(
    "takes rows while the switch is gone",
    restart,
    class extends SimulatedDatapath {
      override async apply(delta: Delta): Promise<void> {
        if (this.up) await super.apply(delta);
      }
    },
  ),
  driver(
    "tells of attachments only once",
    "attachments are told once after open, and whenever they change",
    class extends SimulatedDatapath {
      override open(events: DatapathEvents): Promise<void> {
        let told = false;
        const attachments: DatapathEvents["attachments"] = (all) => {
          if (!told) events.attachments(all);
          told = true;
        };
        return super.open({ ...events, attachments });
      }
    },
  ),
  driver(
    "passes over rows whose interface is not there yet",
    "a port plugged after its rows comes into force",
    class extends SimulatedDatapath {
      override adopt(rows: Iterable<Row>): Promise<Adoption> {
        return super.adopt(
          [...rows].filter(({ action, args }) => action !== "output" || this.ports.includes(String(args.port))),
        );
      }
    },
  ),
  driver(
    "takes the interface that follows for the one that was there",
    "a port unplugged is reached no more, and one plugged in its place is not taken for it",
    class extends SimulatedDatapath {
      #left: string | undefined;
      override unplug(port: string): void {
        this.#left = port;
        super.unplug(port);
      }
      protected override deliver(port: string, frame: Uint8Array): void {
        super.deliver(this.#left === port ? (this.ports.at(-1) ?? port) : port, frame);
      }
    },
  ),
  driver(
    "reaches a port by the interface that it had first",
    "the same port plugged again is in force again",
    class extends SimulatedDatapath {
      readonly #stale = new Set<string>();
      override unplug(port: string): void {
        this.#stale.add(port);
        super.unplug(port);
      }
      protected override deliver(port: string, frame: Uint8Array): void {
        if (!this.#stale.has(port)) super.deliver(port, frame);
      }
    },
  ),
  driver(
    "floods back to the sender",
    floodOnce,
    class extends SimulatedDatapath {
      override receive(ingress: string, frame: Uint8Array, tunnel?: TunnelHeader): Trace {
        const trace = super.receive(ingress, frame, tunnel);
        for (const outcome of trace.outcomes) if (outcome.kind === "suppressed") this.deliver(outcome.port, frame);
        return trace;
      }
    },
  ),
  driver(
    "delivers everything twice",
    floodOnce,
    class extends SimulatedDatapath {
      protected override deliver(port: string, frame: Uint8Array): void {
        super.deliver(port, frame);
        super.deliver(port, frame);
      }
    },
  ),
  driver(
    "sends a flooded frame to every host twice",
    floodOnce,
    class extends SimulatedDatapath {
      constructor(options: SimulatedDatapathOptions) {
        super({
          ...options,
          underlay: (to, header, frame) => {
            options.underlay?.(to, header, frame);
            if (header.dstPort === 0) options.underlay?.(to, header, frame);
          },
        });
      }
    },
  ),
  driver(
    "names no receiving port in the tunnel",
    "a unicast frame crosses the underlay once and arrives unchanged on another host",
    class extends SimulatedDatapath {
      constructor(options: SimulatedDatapathOptions) {
        super({
          ...options,
          underlay: (to, header, frame) => options.underlay?.(to, { ...header, dstPort: 0 }, frame),
        });
      }
    },
  ),
  driver(
    "punts for the wrong port",
    punted,
    class extends SimulatedDatapath {
      override open(events: DatapathEvents): Promise<void> {
        return super.open({ ...events, punt: (punt) => events.punt({ ...punt, srcPort: 0 }) });
      }
    },
  ),
  driver(
    "punts frames cut short",
    punted,
    class extends SimulatedDatapath {
      override open(events: DatapathEvents): Promise<void> {
        return super.open({
          ...events,
          punt: (punt) => events.punt({ ...punt, frame: punt.frame.subarray(0, 128) }),
        });
      }
    },
  ),
  driver(
    "sends through the program",
    "send puts a frame out of a port's interface, past the program",
    class extends SimulatedDatapath {
      override async send(port: string, frame: Uint8Array): Promise<void> {
        this.receive(port, frame);
      }
    },
  ),
  driver(
    "counts no drops",
    spoofed,
    class extends SimulatedDatapath {
      override async drops(): Promise<Awaited<ReturnType<SimulatedDatapath["drops"]>>> {
        return new Map();
      }
    },
  ),
  executor(
    "does not look at a tunnel's source",
    "a tunnelled packet is taken only from a host that has a machine on that network",
    "tunnel_source",
    {
      miss: [set(F.net, contentsOf(F.tunKey)), set(F.srcPort, contentsOf(F.tunSrcPort)), goto("fabric_in")],
    },
  ),
  executor(
    "counts packets that look for the way as lost",
    "a packet by which a switch looks for the way is taken in silence",
    "tunnel_source",
    {
      actions: {
        ...selvageProgram.byName.get("tunnel_source")?.actions,
        probe: { params: {}, steps: [drop("tunnel-source")] },
      },
    },
  ),
  executor("hears a network on any interface of tunnels", vxlanSource, "tunnel_source", {
    columns: { tunKey: exact(F.tunKey), tunSrc: optional(F.tunSrc) },
  }),
  executor("floods what comes by VXLAN for a MAC that nobody has", vxlanSource, "fabric_vni", {
    miss: [replicate("flood_local")],
  }),
  executor("knows no groups in VXLAN", vxlanReach, "fabric_vni", { constants: [] }),
  executor("sends everything by Geneve", vxlanReach, "carriage", {
    actions: {
      ...selvageProgram.byName.get("carriage")?.actions,
      carry: {
        params: { largest: "int", encapsulation: "int" },
        steps: [set(F.encapsulation, constant(0)), measure(F.oversize, param("largest")), goto("l2")],
      },
    },
  }),
  executor(
    "floods on what was flooded to it",
    "a flooded tunnelled packet goes to the ports here and not on to other hosts",
    "fabric_in",
    {
      actions: {
        ...selvageProgram.byName.get("fabric_in")?.actions,
        flood: { params: {}, steps: [replicate("flood_local"), replicate("flood_remote")] },
      },
    },
  ),
  executor(
    "takes a tunnelled packet for whom it may concern",
    "a tunnelled packet for a port of another network, or of none here, goes nowhere",
    "fabric_in",
    {
      miss: [set(F.dstPort, contentsOf(F.tunDstPort)), goto("deliver")],
    },
  ),
  executor("lets frames through that are too large", fullSize, "carriage", {
    actions: {
      ...selvageProgram.byName.get("carriage")?.actions,
      carry: {
        params: { largest: "int", encapsulation: "int" },
        steps: [set(F.encapsulation, param("encapsulation")), goto("l2")],
      },
    },
  }),
  driver(
    "takes the MTU for the length of the frame",
    fullSize,
    class extends SimulatedDatapath {
      override receive(ingress: string, frame: Uint8Array, tunnel?: TunnelHeader): Trace {
        const isFull = tunnel === undefined && frame.length > testMtu;
        return super.receive(ingress, isFull ? Buffer.concat([frame, new Uint8Array(14)]) : frame, tunnel);
      }
    },
  ),
  executor("does not look at MACs", spoofed, "guard_mac", { miss: [goto("guard_ip")] }),
  executor(
    "forgets what it asked of a neighbour",
    "a question for a known address is answered on the asking host, for the asker alone",
    "neighbour",
    {
      actions: { known: { params: { mac: "mac" }, steps: [] } },
    },
  ),
  ...brokenPolicies,
  ...brokenOutside,
  ...brokenRouters,
  ...brokenServices,
  ...brokenTimes,
];
