/** Instructions of a flow: what happens to a packet that it matches (OpenFlow 1.5.1, section 7.2.5). */
import type { Action } from "./action.ts";
import { decodeActions } from "./action-decode.ts";
import { encodeActions } from "./action-encode.ts";
import { DecodeError, type Reader, type U64, type Writer } from "./wire.ts";

/** One instruction; the switch wants each kind at most once. (A meter is an action since OpenFlow 1.5.) */
export type Instruction =
  | { readonly kind: "apply"; readonly actions: readonly Action[] }
  | { readonly kind: "write"; readonly actions: readonly Action[] }
  | { readonly kind: "clear" }
  | { readonly kind: "gotoTable"; readonly table: number }
  | { readonly kind: "writeMetadata"; readonly metadata: U64; readonly mask: U64 }
  | { readonly kind: "raw"; readonly bytes: Uint8Array };

const InstructionType = { gotoTable: 1, writeMetadata: 2, write: 3, apply: 4, clear: 5 } as const;

/** Writes instructions one after the other. */
export function encodeInstructions(w: Writer, instructions: readonly Instruction[]): void {
  for (const instruction of instructions) {
    const start = w.length;
    switch (instruction.kind) {
      case "apply":
      case "write":
        w.u16(InstructionType[instruction.kind]);
        w.u16(0);
        w.zeros(4);
        encodeActions(w, instruction.actions);
        w.setU16(start + 2, w.length - start);
        break;
      case "clear":
        w.u16(InstructionType.clear);
        w.u16(8);
        w.zeros(4);
        break;
      case "gotoTable":
        w.u16(InstructionType.gotoTable);
        w.u16(8);
        w.u8(instruction.table);
        w.zeros(3);
        break;
      case "writeMetadata":
        w.u16(InstructionType.writeMetadata);
        w.u16(24);
        w.zeros(4);
        w.u64(instruction.metadata);
        w.u64(instruction.mask);
        break;
      case "raw":
        w.bytes(instruction.bytes);
        break;
    }
  }
}

/** Reads instructions until the reader is empty; an unknown one stays raw. */
export function decodeInstructions(r: Reader): readonly Instruction[] {
  const instructions: Instruction[] = [];
  while (r.left > 0) {
    const length = r.peekU16(2);
    if (length < 8 || length > r.left) throw new DecodeError(`instruction of ${length} bytes, ${r.left} left`);
    instructions.push(decodeInstruction(r.sub(length)));
  }
  return instructions;
}

function decodeInstruction(r: Reader): Instruction {
  const type = r.u16();
  r.skip(2);
  switch (type) {
    case InstructionType.apply:
    case InstructionType.write:
      r.skip(4);
      return { kind: type === InstructionType.apply ? "apply" : "write", actions: decodeActions(r) };
    case InstructionType.clear:
      return { kind: "clear" };
    case InstructionType.gotoTable:
      return { kind: "gotoTable", table: r.u8() };
    case InstructionType.writeMetadata:
      r.skip(4);
      return { kind: "writeMetadata", metadata: r.u64(), mask: r.u64() };
    default:
      return { kind: "raw", bytes: r.whole() };
  }
}
