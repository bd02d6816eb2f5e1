/** Datapaths that are wrong about the outside, each in one way. */
import { constant, drop, F, goto, punt, type Row, type Step, translateSource } from "@selvage/pipeline";
import type { AttachedInterface, DatapathEvents, Resumption } from "../datapath.ts";
import { SimulatedDatapath } from "../simulated/datapath.ts";
import type { Trace } from "../simulated/interpreter.ts";
import type { TunnelHeader } from "../simulated/packet.ts";
import {
  actionsOf,
  type BrokenDatapath,
  constantsWithout,
  type Delta,
  driver,
  executor,
  stepsWithout,
} from "./broken-kinds.ts";
import { physicalPort } from "./outside-topology.ts";

const told = "the way to a physical network is told as an interface, and what is sent there goes as it is";
const tags =
  "a frame from a physical network is of the network that its tag says, comes without it to whom it is for, and leaves with it";
const unknownVlan = "a frame of a VLAN that no network has is dropped, as is one for a machine of another";
const owned = "an address that a host owns is answered for there by its own MAC, and by no other host";
const learnt = "what neighbours on a physical network answer reaches the agent, with the network that it came by";
const waited = "what waited for a neighbour goes on where it was, translated and checked as all that goes there";
const loops = "what a host has said on a physical network and comes back to it is dropped";
const floats =
  "a floating address stands for its machine, whoever speaks first, on the machine's host and with checksums that are right";
const forwards = "a forwarded port stands for a machine's, and no other of its address";
const inner = "an ICMP error about a floating address is the agent's to make right, whichever way it goes";
const plain = "IPv6 goes out and comes in as it is, and one hop less";
const follows = "a host without its way to the physical network goes on with all else, and takes it up when it comes";
const leaves =
  "a connection leaves with a router's address and a port of its host's block, and its answers come back, by another host too";
const unanswered = "datagrams that nobody answers leave with one port all the same";
const exhausted = "where the ports run out a connection is dropped and counted, and never leaves as it is";
const noBlock = "a host without a block of ports lets nothing out, nor what has no translation at all";
const comesIn = "only what belongs to a connection from inside comes in by a router's address";
const portless =
  "pings and protocols without ports leave with the router's address, and come back to whose host knows them";
const errors = "an ICMP error about a translated connection comes to the machine, and quotes what the machine has sent";
const errorsOut =
  "a machine's ICMP error about a translated connection is the agent's to make right, which asks what stands for the machine";
const itself = "a machine reaches itself by its own floating address and its own forwarded port";
const sayings =
  "what a router says to the outside goes by its routes, and what comes with no hop left is told to the agent";
const hairpin =
  "a machine reaches a floating address of its own host by the outside's way, and neither side sees the other's own address";
const policed =
  "a translated connection is policed as the machine's own: by its inside address, and its answers are let in";
const forgotten = "a zone that no row names any more is forgotten, and what comes for its connections is not let in";

const isTag = (step: Step): boolean => step.do === "popTag" || step.do === "pushTag";

/** What is put in, other than it was said. */
const rewriting = (name: string, caughtBy: string, change: (row: Row) => Row | undefined): BrokenDatapath =>
  driver(
    name,
    caughtBy,
    class extends SimulatedDatapath {
      override apply(delta: Delta): Promise<void> {
        const rows = (all: Delta["added"]) => [...all].flatMap((row) => change(row) ?? []);
        return super.apply({ ...delta, added: rows(delta.added) });
      }
    },
  );

/** Frames that come out of an interface, damaged. */
const delivering = (
  name: string,
  caughtBy: string,
  damage: (frame: Uint8Array, port: string) => Uint8Array,
): BrokenDatapath =>
  driver(
    name,
    caughtBy,
    class extends SimulatedDatapath {
      protected override deliver(port: string, frame: Uint8Array): void {
        super.deliver(port, damage(Uint8Array.from(frame), port));
      }
    },
  );

/** The table with the steps of one of its actions, or of what no row matches, without those of a kind. */
const lacking = (
  name: string,
  caughtBy: string,
  table: string,
  action: string,
  unwanted: (step: Step) => boolean,
): BrokenDatapath =>
  executor(
    name,
    caughtBy,
    table,
    action === "miss"
      ? { miss: stepsWithout(table, "miss", unwanted) }
      : { actions: actionsOf(table, { [action]: stepsWithout(table, action, unwanted) }) },
  );

const sets =
  (field: string) =>
  (step: Step): boolean =>
    step.do === "set" && step.field.name === field;

export const brokenOutside: readonly BrokenDatapath[] = [
  driver(
    "does not tell of physical networks",
    told,
    class extends SimulatedDatapath {
      override open(events: DatapathEvents): Promise<void> {
        const attachments = (all: readonly AttachedInterface[]): void =>
          events.attachments(all.filter(({ port }) => port !== physicalPort));
        return super.open({ ...events, attachments });
      }
    },
  ),
  driver(
    "takes the tags of its own frames away",
    told,
    class extends SimulatedDatapath {
      override send(port: string, frame: Uint8Array): Promise<void> {
        const isTagged = frame[12] === 0x81;
        return super.send(port, isTagged ? Buffer.concat([frame.subarray(0, 12), frame.subarray(16)]) : frame);
      }
    },
  ),
  lacking("forgets the tag", tags, "provider_out", "tagged", isTag),
  lacking("leaves the tag on", tags, "provider_in", "tagged", isTag),
  executor("does not reach the wire with what is for many", tags, "flood_remote", {
    actions: actionsOf("flood_remote", { copy: [drop("no-fdb-entry")] }),
  }),
  executor("takes every VLAN for a network", unknownVlan, "provider_in", {
    miss: [{ do: "popTag" }, { do: "set", field: F.net, to: constant(5) }, goto("from_physical")],
  }),
  rewriting("answers with a MAC of all hosts", owned, (row) =>
    row.table === "from_physical" && row.action === "arp" ? { ...row, args: { mac: "06:53:00:00:00:00" } } : row,
  ),
  lacking("answers pings to where they came from with the hops that are left", owned, "ext_in", "echo4", sets("ttl")),
  executor("keeps to itself what neighbours say", learnt, "from_physical", {
    actions: actionsOf("from_physical", { learn: [drop("no-fdb-entry")] }),
  }),
  lacking("does not ask for neighbours", learnt, "routed", "ask", (step) => step.do === "report"),
  driver(
    "forgets what was known of a packet that waited",
    waited,
    class extends SimulatedDatapath {
      override resume(table: string, { net, vrf, sentOn }: Resumption, frame: Uint8Array): Promise<void> {
        const underway = { srcPort: 0, srcSet: 0, scope: 0, hop: 0 };
        const known = sentOn === undefined ? {} : { sentOn: { ...sentOn, underway } };
        return super.resume(table, { net, vrf, ...known }, frame);
      }
    },
  ),
  executor("takes its own frames back", loops, "from_physical", {
    actions: actionsOf("from_physical", { loop: [goto("remote_id")] }),
  }),
  lacking("leaves with a machine's own address", floats, "nat_out", "floating", sets("ip4Src")),
  lacking("does not find the machine of a floating address", floats, "ext_in", "floating", sets("ip4Dst")),
  delivering("leaves the checksum of what was translated as it was", floats, (frame, port) => {
    if (port === physicalPort && frame[12] === 8 && frame[23] === 6) frame[50] = (frame[50] ?? 0) ^ 1;
    return frame;
  }),
  lacking("forwards an address and not its port", forwards, "ext_in", "forwardedTcp", sets("tcpDst")),
  lacking("answers from the inner port", forwards, "nat_out", "forwardedTcp", sets("tcpSrc")),
  executor("sends errors on that quote another address", inner, "ext_in", {
    actions: actionsOf("ext_in", { inner: [goto("route")] }),
  }),
  executor("sends a machine's errors on as they are", inner, "nat_out", {
    actions: actionsOf("nat_out", { inner: [goto("hops")] }),
  }),
  executor("sends on what has no hop left to a machine", plain, "ext_in", {
    constants: constantsWithout("ext_in", "expired"),
  }),
  driver(
    "forgets a physical network that comes late",
    follows,
    class extends SimulatedDatapath {
      #adopted = false;
      override adopt(rows: Iterable<Row>): ReturnType<SimulatedDatapath["adopt"]> {
        this.#adopted = true;
        return super.adopt(rows);
      }
      override receive(ingress: string, frame: Uint8Array, tunnel?: TunnelHeader): Trace {
        return super.receive(this.#isLate && ingress === physicalPort ? "unknown" : ingress, frame, tunnel);
      }
      #isLate = false;
      override plug(port: string, receive: (frame: Uint8Array) => void): void {
        this.#isLate ||= port === physicalPort && this.#adopted;
        super.plug(port, receive);
      }
    },
  ),
  rewriting("takes ports of all blocks", leaves, (row) =>
    row.table === "snat_new" && row.action === "lease"
      ? { ...row, args: { ...row.args, first: 1024, last: 65_535 } }
      : row,
  ),
  executor("does not know what was translated", leaves, "own_lease", {
    actions: actionsOf("own_lease", { translate: [drop("nat-no-connection")] }),
  }),
  rewriting("keeps for itself what another host knows", leaves, (row) =>
    row.table === "ext_in" && row.action === "steer" ? undefined : row,
  ),
  driver(
    "gives each datagram a port of its own",
    unanswered,
    class extends SimulatedDatapath {
      #rows: readonly Row[] = [];
      #turn = 0;
      override async apply(delta: Delta): Promise<void> {
        const ours = [...delta.added].filter(({ args, action }) => "zone" in args || action === "lease");
        this.#rows = [...this.#rows, ...ours];
        await super.apply(delta);
      }
      override receive(ingress: string, frame: Uint8Array, tunnel?: TunnelHeader): Trace {
        this.#turn += 1;
        const port = 1024 + this.#turn;
        const added = this.#rows.map((row) =>
          row.action === "lease" ? { ...row, args: { ...row.args, first: port, last: port } } : row,
        );
        void super.apply({ added: [], removed: this.#rows, modified: [] });
        void super.apply({ added, removed: [], modified: [] });
        return super.receive(ingress, frame, tunnel);
      }
    },
  ),
  executor("lets go on as it is what it cannot translate", exhausted, "snat_check", { miss: [goto("hops")] }),
  executor("translates no port", exhausted, "snat_new", {
    actions: actionsOf("snat_new", {
      lease: [translateSource(F.natZone, { from: "param", name: "address" }, null, "snat_check")],
    }),
  }),
  executor("lets go on as it is what has no block", noBlock, "snat_new", { miss: [goto("hops")] }),
  executor("lets go on as it is what has no translation", noBlock, "nat_out", { miss: [goto("hops")] }),
  executor("lets in what nobody asked for", comesIn, "ext_in_state", {
    constants: constantsWithout("ext_in_state", "ports"),
    miss: [goto("route")],
  }),
  executor("asks this host alone of what bears no port", portless, "lease_hosts", {
    actions: actionsOf("lease_hosts", { copy: [drop("nat-no-connection")] }),
  }),
  executor("asks the other hosts alone of what bears no port", portless, "lease_hosts", {
    actions: actionsOf("lease_hosts", { here: [drop("nat-no-connection")] }),
  }),
  delivering("does not rewrite what an error quotes", errors, (frame, port) => {
    if (port !== physicalPort && frame[12] === 8 && frame[23] === 1 && frame[34] === 3)
      frame.set([203, 0, 113, 10], 54);
    return frame;
  }),
  executor("translates short quotations itself", errors, "quotation", {
    constants: [],
    miss: [goto("own_lease")],
  }),
  executor("lets a machine's errors out that quote its own address", errorsOut, "nat_out", {
    constants: constantsWithout("nat_out", "error"),
  }),
  executor("tells the agent what stands for nothing", errorsOut, "nat_asked", { miss: [punt("translated")] }),
  executor("sends back nothing", itself, "turn", {
    miss: [goto("deliver")],
    actions: { back: { params: {}, steps: [goto("deliver")] } },
  }),
  lacking("says nothing of packets with no hop left", sayings, "ext_in", "expired", (step) => step.do === "report"),
  rewriting("translates what a router says itself", sayings, (row) =>
    row.table === "nat_out" && row.rank === "own" ? undefined : row,
  ),
  executor("does not lead back in what is for an address of its own", hairpin, "to_router", {
    actions: actionsOf("to_router", { outside: [goto("carriage")] }),
  }),
  rewriting("polices nobody behind a router's address", policed, (row) => (row.table === "receiver" ? undefined : row)),
  driver(
    "keeps connections of zones that nobody names",
    forgotten,
    class extends SimulatedDatapath {
      protected override settle(): void {
        // Nothing is forgotten.
      }
    },
  ),
];
