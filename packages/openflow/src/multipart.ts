/** Questions with answers in several messages: flows, groups, meters, ports (OpenFlow 1.5.1, section 7.3.5). */
import { decodeFlow, decodeFlowFilter, encodeFlow, encodeFlowFilter, type Flow, type FlowFilter } from "./flow.ts";
import { decodeGroupDescription, encodeGroupDescription, type GroupDescription } from "./group.ts";
import {
  decodeMeterConfig,
  decodeMeterCounters,
  encodeMeterConfig,
  encodeMeterCounters,
  type MeterConfig,
  type MeterCounters,
} from "./meter.ts";
import { decodePort, encodePort, type PortDescription } from "./port.ts";
import { decodeStatistics, encodeStatistics, type Statistics } from "./statistics.ts";
import type { Reader, Writer } from "./wire.ts";

/** What is asked. */
export type Question =
  | { readonly of: "flows"; readonly filter: FlowFilter }
  | { readonly of: "aggregate"; readonly filter: FlowFilter }
  | { readonly of: "groups"; readonly group: number }
  | { readonly of: "meters"; readonly meter: number }
  | { readonly of: "meterCounters"; readonly meter: number }
  | { readonly of: "ports"; readonly port: number }
  | { readonly of: "raw"; readonly type: number; readonly body: Uint8Array };

/** One part of the answer. */
export type Answer =
  | { readonly of: "flows"; readonly flows: readonly Flow[] }
  | { readonly of: "aggregate"; readonly statistics: Statistics }
  | { readonly of: "groups"; readonly groups: readonly GroupDescription[] }
  | { readonly of: "meters"; readonly meters: readonly MeterConfig[] }
  | { readonly of: "meterCounters"; readonly meters: readonly MeterCounters[] }
  | { readonly of: "ports"; readonly ports: readonly PortDescription[] }
  | { readonly of: "raw"; readonly type: number; readonly body: Uint8Array };

export interface MultipartRequest {
  readonly kind: "multipartRequest";
  readonly question: Question;
}

export interface MultipartReply {
  readonly kind: "multipartReply";
  /** Whether further parts follow. */
  readonly more: boolean;
  readonly answer: Answer;
}

const PartType = { flows: 1, aggregate: 2, groups: 7, meterCounters: 9, meters: 10, ports: 13 } as const;
const moreFollow = 1;

export function encodeMultipartRequest(w: Writer, { question }: MultipartRequest): void {
  w.u16(question.of === "raw" ? question.type : PartType[question.of]);
  w.zeros(6);
  switch (question.of) {
    case "flows":
    case "aggregate":
      encodeFlowFilter(w, question.filter);
      break;
    case "groups":
      number(w, question.group);
      break;
    case "meters":
    case "meterCounters":
      number(w, question.meter);
      break;
    case "ports":
      number(w, question.port);
      break;
    case "raw":
      w.bytes(question.body);
      break;
  }
}

export function decodeMultipartRequest(r: Reader): MultipartRequest {
  const type = r.u16();
  r.skip(6);
  return { kind: "multipartRequest", question: decodeQuestion(r, type) };
}

export function encodeMultipartReply(w: Writer, { more, answer }: MultipartReply): void {
  w.u16(answer.of === "raw" ? answer.type : PartType[answer.of]);
  w.u16(more ? moreFollow : 0);
  w.zeros(4);
  switch (answer.of) {
    case "flows":
      for (const flow of answer.flows) encodeFlow(w, flow);
      return;
    case "aggregate":
      encodeStatistics(w, answer.statistics);
      break;
    case "groups":
      for (const group of answer.groups) encodeGroupDescription(w, group);
      return;
    case "meters":
      for (const meter of answer.meters) encodeMeterConfig(w, meter);
      return;
    case "meterCounters":
      for (const meter of answer.meters) encodeMeterCounters(w, meter);
      return;
    case "ports":
      for (const port of answer.ports) encodePort(w, port);
      return;
    case "raw":
      w.bytes(answer.body);
      break;
  }
}

export function decodeMultipartReply(r: Reader): MultipartReply {
  const type = r.u16();
  const more = (r.u16() & moreFollow) !== 0;
  r.skip(4);
  return { kind: "multipartReply", more, answer: decodeAnswer(r, type) };
}

function decodeQuestion(r: Reader, type: number): Question {
  switch (type) {
    case PartType.flows:
      return { of: "flows", filter: decodeFlowFilter(r) };
    case PartType.aggregate:
      return { of: "aggregate", filter: decodeFlowFilter(r) };
    case PartType.groups:
      return { of: "groups", group: r.u32() };
    case PartType.meters:
      return { of: "meters", meter: r.u32() };
    case PartType.meterCounters:
      return { of: "meterCounters", meter: r.u32() };
    case PartType.ports:
      return { of: "ports", port: r.u32() };
    default:
      return { of: "raw", type, body: r.bytes(r.left) };
  }
}

function decodeAnswer(r: Reader, type: number): Answer {
  switch (type) {
    case PartType.flows:
      return { of: "flows", flows: all(r, decodeFlow) };
    case PartType.aggregate:
      return { of: "aggregate", statistics: decodeStatistics(r) };
    case PartType.groups:
      return { of: "groups", groups: all(r, decodeGroupDescription) };
    case PartType.meters:
      return { of: "meters", meters: all(r, decodeMeterConfig) };
    case PartType.meterCounters:
      return { of: "meterCounters", meters: all(r, decodeMeterCounters) };
    case PartType.ports:
      return { of: "ports", ports: all(r, decodePort) };
    default:
      return { of: "raw", type, body: r.bytes(r.left) };
  }
}

/** Reads entries until none is left; each has a length of its own, and one of zero bytes fails in its header. */
function all<T>(r: Reader, one: (r: Reader) => T): readonly T[] {
  const entries: T[] = [];
  while (r.left > 0) entries.push(one(r));
  return entries;
}

function number(w: Writer, value: number): void {
  w.u32(value);
  w.zeros(4);
}
