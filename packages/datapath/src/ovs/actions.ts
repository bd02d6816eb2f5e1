/** From the program's steps to the switch's actions (ovs-actions(7)): moves and loads of fields, lookups in other tables, and where the packet ends. */
import { type Action, act, Port, type Subfield } from "@selvage/openflow";
import {
  type Encapsulation,
  F,
  type Field,
  frameLength,
  ingressOf,
  type Operand,
  type Program,
  type PuntKind,
  probeKey,
  type Row,
  type RowValue,
  type Step,
} from "@selvage/pipeline";
import { type Resumption, underwayFields } from "../datapath.ts";
import { zoneOwner } from "../zone-kinds.ts";
import { type BitsPlace, bitsOf, outgoing, placed, puntKind, tag, tagPresent } from "./layout.ts";
import type { Ports } from "./ports.ts";
import { limitNumber, puntNumber, puntTable } from "./punts.ts";
import { trackActions } from "./reentry.ts";
import { bitsFrom, familyOf } from "./values.ts";

/**
 * The actions of a row's steps; undefined while an interface or a zone that they name is not there. What would only change a packet that is dropped
 * in the end is left out. Throws TypeError when a value does not fit its field.
 */
export function actionsOf(
  program: Program,
  steps: readonly Step[],
  row: Row,
  ports: Ports,
): readonly Action[] | undefined {
  const actions: Action[] = [];
  let useful = 0;
  const send = (...sent: readonly Action[]): void => {
    useful = actions.push(...sent);
  };
  for (const [at, step] of steps.entries()) {
    switch (step.do) {
      case "set": {
        const made = setActions(step.field, step.to, row, ports);
        if (made === undefined) return undefined;
        actions.push(...made);
        if (steps.at(-1)?.do !== "drop") useful = actions.length;
        break;
      }
      case "measure":
        send(
          act.checkPacketLarger(Number(bitsFrom(frameLength, literal(step.limit, row))), bitsOf(step.field).subfield),
        );
        break;
      case "goto":
      case "back":
      case "call":
      case "replicate":
      case "select":
        send(act.resubmit(numberOf(program, step.table)));
        break;
      // On a copy: of a packet of which others get copies too, the switch would translate those that come after, and send fragments with them that it gives up.
      case "track":
      case "translate":
        send(act.clone(trackActions(step.zone, numberOf(program, step.table))));
        break;
      case "translateSource":
        send(act.clone(trackActions(step.zone, numberOf(program, step.table), [natOf(step, row)])));
        break;
      case "pushTag":
        send(act.pushVlan(), load(tag, tagPresent | bitsFrom(F.vlan, literal(step.vlan, row))));
        break;
      case "popTag":
        send(act.popVlan());
        break;
      case "commit": {
        const kept = step.keep.flatMap(({ field, to }) => setActions(field, to, row, ports) ?? []);
        const next = steps[at + 1];
        if (next?.do !== "goto")
          throw new TypeError(`${row.id}: a packet whose connection is kept goes to another table`);
        send(...trackActions(step.zone, numberOf(program, next.table), kept));
        return actions;
      }
      case "decrementTtl":
        send(act.decTtl());
        break;
      case "output": {
        const number = ports.numberOf(String(literal(step.to, row)));
        if (number === undefined) return undefined;
        send(act.output(number));
        break;
      }
      case "reply":
        send(act.output(Port.inPort));
        break;
      case "tunnel": {
        const number = ports.numberOf(ingressOf[step.by]);
        if (number === undefined) return undefined;
        send(...tunnelActions(step.by, literal(step.to, row)), fromNowhere, act.output(number));
        break;
      }
      case "punt":
        send(...puntActions(step.kind));
        break;
      case "report":
        // A meter that drops ends the packet, so it gets a copy.
        send(act.clone(puntActions(step.kind)));
        break;
      case "limit":
        send(...notedActions(limitNumber(step.kind)));
        break;
      case "drop":
      case "absorb":
        break;
    }
  }
  return actions.slice(0, useful);
}

/** The value of an operand that stands in the row or the program. Throws TypeError for one that only a packet has. */
export function literal(operand: Operand, row: Row): RowValue {
  switch (operand.from) {
    case "value":
      return operand.value;
    case "param": {
      const value = row.args[operand.name];
      if (value === undefined) throw new TypeError(`${row.id}: no argument ${operand.name}`);
      return value;
    }
    case "field":
      throw new TypeError(`${row.id}: ${operand.field.name} is known only of a packet`);
  }
}

function numberOf(program: Program, name: string): number {
  const table = program.byName.get(name);
  if (table === undefined) throw new TypeError(`no table ${name}`);
  return table.number;
}

/** To an address, and a range of ports where there is one: a translation without an address ends the switch (design, section 3.5). */
function natOf(step: Extract<Step, { readonly do: "translateSource" }>, row: Row): Action {
  const address = Number(bitsFrom(F.ip4Src, literal(step.address, row)));
  const port = (from: Operand): number => Number(bitsFrom(F.tcpSrc, literal(from, row)));
  const ports = step.ports === null ? null : { min: port(step.ports.first), max: port(step.ports.last) };
  return act.nat({ direction: "source", address: { version: 4, min: address, max: null }, ports });
}

const puntActions = (kind: PuntKind): readonly Action[] => notedActions(puntNumber(kind));
const notedActions = (note: number): readonly Action[] => [load(puntKind, BigInt(note)), act.resubmit(puntTable)];

const load = (place: BitsPlace, value: bigint): Action => act.setField(placed(place, value));

const low = ({ field, offset }: Subfield, bits: number): Subfield => ({ field, offset, bits });

/** Copies the low bits; where the source is narrower the rest becomes zero. */
function copy(from: BitsPlace, to: BitsPlace): readonly Action[] {
  const bits = Math.min(from.subfield.bits, to.subfield.bits);
  const moved = act.copyField(low(from.subfield, bits), low(to.subfield, bits));
  return bits < to.subfield.bits ? [load(to, 0n), moved] : [moved];
}

/** Undefined while the zone that is to be set is not there. */
function setActions(field: Field, to: Operand, row: Row, ports: Ports): readonly Action[] | undefined {
  const place = bitsOf(field);
  if (to.from === "field") return copy(bitsOf(to.field), place);
  if (field.kind !== "name") return [load(place, bitsFrom(field, literal(to, row)))];
  const zone = ports.zones.get(zoneOwner(field, String(literal(to, row))));
  return zone === undefined ? undefined : [load(place, BigInt(zone))];
}

/** What a packet of our own does that goes on in a table. Throws TypeError when there is no such table. */
export const resumeActions = (program: Program, table: string, { net, vrf, sentOn }: Resumption): readonly Action[] => [
  load(bitsOf(F.net), BigInt(net)),
  load(bitsOf(F.vrf), BigInt(vrf)),
  ...(sentOn === undefined
    ? []
    : [
        load(bitsOf(F.nhMac), bitsFrom(F.nhMac, sentOn.nhMac)),
        ...underwayFields.map((name) => load(bitsOf(F[name]), BigInt(sentOn.underway[name]))),
      ]),
  act.resubmit(numberOf(program, table)),
];

/** An empty frame to another host's switch, by an interface of tunnels: bears the key that every host takes in silence. */
export function probeActions(to: string, number: number): readonly Action[] {
  return [load(outgoing.key, BigInt(probeKey)), destination(to), act.output(number)];
}

/** A switch sends nothing out of the interface by which it came; what came out of a tunnel may have to go on by one, to another host. */
const fromNowhere = act.setField({ field: "nxm_in_port", value: 0xffff });

/** The key from `net`, by Geneve both ports and the sender's set in the option, and the other host's address. */
function tunnelActions(by: Encapsulation, to: RowValue): readonly Action[] {
  const key = copy(bitsOf(F.net), outgoing.key);
  switch (by) {
    case "vxlan":
      return [...key, destination(to)];
    case "geneve":
      return [
        ...key,
        load(outgoing.option, 0n),
        ...copy(bitsOf(F.dstPort), outgoing.dstPort),
        ...copy(bitsOf(F.srcPort), outgoing.srcPort),
        ...copy(bitsOf(F.srcSet), outgoing.srcSet),
        destination(to),
      ];
  }
}

const destination = (to: RowValue): Action =>
  load(familyOf(F.nh, to) === 4 ? outgoing.to4 : outgoing.to6, bitsFrom(F.nh, to));
