/** Datapaths that are wrong about routers, each in one way. */
import { drop, F, goto, param, type Row, replicate, type Step, set } from "@selvage/pipeline";
import type { DatapathEvents } from "../datapath.ts";
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

const sendsOn =
  "a router sends on to another network, here and on another host, with its own MAC, the next hop's, and one hop less";
const pings =
  "a router answers pings to its addresses with what was asked, on the asking host, and checksums that are right";
const expired =
  "what may go no hop further is reported with its network and router, and dropped; one hop more is enough";
const noRoute =
  "where there is no route a packet is reported and dropped; what no router sends on is dropped in silence";
const closed = "a router has nothing at its addresses but its answer to a ping, and says so";
const nobody = "a next hop that nobody has is reported and dropped";
const down = "a router that is down drops, and the networks themselves go on";
const scopes = "networks of different address scopes are not routed to each other";
const circles = "a packet passes four routers and no fifth, and one that goes round in circles ends";
const several = "of several next hops a flow takes one and stays with it, and flows take all of them";
const tooLarge = "what is too large for the network that it is routed to is reported and dropped";
const policed = "a routed connection is policed at both ends, wherever they are";
const solicited = "a router solicitation is the agent's to answer";

const isReport = (step: Step): boolean => step.do === "report";
const routes = ["connected4", "connected6", "via"] as const;
const routeSteps = (unwanted: (step: Step) => boolean): Readonly<Record<string, readonly Step[]>> =>
  Object.fromEntries(routes.map((name) => [name, stepsWithout("route", name, unwanted)]));

/** Frames that come out of a port, damaged. */
const delivering = (name: string, caughtBy: string, damage: (frame: Uint8Array) => void): BrokenDatapath =>
  driver(
    name,
    caughtBy,
    class extends SimulatedDatapath {
      protected override deliver(port: string, frame: Uint8Array): void {
        const damaged = Uint8Array.from(frame);
        damage(damaged);
        super.deliver(port, damaged);
      }
    },
  );

export const brokenRouters: readonly BrokenDatapath[] = [
  executor("does not count hops", sendsOn, "route", {
    actions: actionsOf(
      "route",
      routeSteps((step) => step.do === "decrementTtl"),
    ),
  }),
  executor("sends on with the sender's MAC", sendsOn, "route", {
    actions: actionsOf(
      "route",
      routeSteps((step) => step.do === "set" && step.field.name === "ethSrc"),
    ),
  }),
  delivering("leaves the checksum of a header as it was", sendsOn, (frame) => {
    if (frame[12] === 8 && frame[22] === 63) frame[24] = (frame[24] ?? 0) - 1;
  }),
  executor("answers pings with the hops that are left of the question", pings, "router_in", {
    actions: actionsOf("router_in", {
      echo4: stepsWithout("router_in", "echo4", (step) => step.do === "set" && step.field.name === "ttl"),
    }),
  }),
  delivering("leaves the checksum of a ping as it was", pings, (frame) => {
    if (frame[12] === 0x86 && frame[20] === 58 && frame[54] === 129) frame[56] = (frame[56] ?? 0) - 1;
  }),
  executor("sends on what has no hop left", expired, "router_in", {
    constants: constantsWithout("router_in", "expired"),
  }),
  executor("sends on what is for one link alone", noRoute, "router_in", {
    constants: constantsWithout("router_in", "never"),
  }),
  executor("reports no missing route", noRoute, "route", { miss: stepsWithout("route", "miss", isReport) }),
  driver(
    "reports without the router",
    expired,
    class extends SimulatedDatapath {
      override open(events: DatapathEvents): Promise<void> {
        return super.open({ ...events, punt: (punt) => events.punt({ ...punt, vrf: 0 }) });
      }
    },
  ),
  executor("says nothing of closed ports", closed, "router_in", {
    actions: actionsOf("router_in", { closed: stepsWithout("router_in", "closed", isReport) }),
  }),
  executor("does not know its own addresses", closed, "router_in", {
    actions: actionsOf("router_in", { closed: [goto("route")] }),
  }),
  executor("says nothing of next hops that nobody has", nobody, "routed", {
    actions: actionsOf("routed", { unknown: stepsWithout("routed", "unknown", isReport) }),
  }),
  executor("sends on by routers that are down", down, "to_router", {
    actions: actionsOf("to_router", { routerDown: [drop("no-fdb-entry")] }),
  }),
  executor("routes between address scopes", scopes, "scopes", {
    actions: actionsOf("scopes", { other: [goto("hops")] }),
  }),
  executor("lets packets pass more routers", circles, "hops", {
    constants: [0, 1, 2, 3, 4, 5].map((hop) => ({ key: { hop }, action: "next", args: { next: hop + 1 } })),
  }),
  executor("lets packets pass three routers only", circles, "hops", {
    constants: [0, 1, 2].map((hop) => ({ key: { hop }, action: "next", args: { next: hop + 1 } })),
  }),
  executor("sends a flow to all next hops", several, "route", {
    actions: actionsOf("route", { several: [set(F.route, param("route")), replicate("next_hops")] }),
  }),
  driver(
    "knows one next hop of several",
    several,
    class extends SimulatedDatapath {
      override apply(delta: Delta): Promise<void> {
        const added = [...delta.added].filter(({ table, key }) => table !== "next_hops" || key.hop === 0);
        return super.apply({ ...delta, added });
      }
    },
  ),
  driver(
    "spreads a flow over its next hops",
    several,
    class extends SimulatedDatapath {
      #hops: readonly Row[] = [];
      #turn = 0;
      override async apply(delta: Delta): Promise<void> {
        this.#hops = [...this.#hops, ...[...delta.added].filter(({ table }) => table === "next_hops")];
        await super.apply(delta);
      }
      override receive(ingress: string, frame: Uint8Array, tunnel?: TunnelHeader): Trace {
        this.#turn += 1;
        for (const hop of this.#hops) this.lose(hop);
        const added = this.#hops.filter(({ key }) => Number(key.hop) === this.#turn % 2);
        void super.apply({ added, removed: [], modified: [] });
        return super.receive(ingress, frame, tunnel);
      }
    },
  ),
  executor("says nothing of what is too large", tooLarge, "l2", { constants: constantsWithout("l2", "routedSize") }),
  executor("does not keep the other side of a connection", policed, "commit_in", {
    miss: stepsWithout("commit_in", "miss", () => false).map((step) =>
      step.do === "commit" ? { ...step, keep: step.keep.filter(({ field }) => field.name !== "ctRemote") } : step,
    ),
  }),
  executor("leaves router solicitations to the network", solicited, "router_solicitation", {
    actions: actionsOf("router_solicitation", { answer: [goto("carriage")] }),
  }),
];
