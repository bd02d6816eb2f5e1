/** Actions by their bytes, as the manual's examples give them, and what is unknown. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Action, act, LearnFlag } from "./action.ts";
import { decodeActions } from "./action-decode.ts";
import { encodeActions } from "./action-encode.ts";
import { subfield } from "./field.ts";
import { actions } from "./testing/arbitrary-actions.ts";
import { DecodeError, EncodeError, Reader, Writer } from "./wire.ts";

const encode = (...list: readonly Action[]) => {
  const w = new Writer(1);
  encodeActions(w, list);
  return Buffer.from(w.take()).toString("hex");
};
const decode = (text: string) =>
  decodeActions(new Reader(new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ""), "hex"))));

test("every action has a length that is a multiple of 8 and reads back", () => {
  fc.assert(
    fc.property(actions, (list) => {
      const bytes = encode(...list);
      assert.equal(bytes.length % 16, 0);
      assert.deepEqual(decode(bytes), list);
    }),
    { numRuns: 500 },
  );
});

test("learn specifications have the bytes of the manual's first example", () => {
  const learn = act.learn({
    table: 10,
    specs: [
      {
        from: { kind: "immediate", value: 99n, bits: 16 },
        to: { kind: "match", destination: subfield("nxm_in_port") },
      },
      {
        from: { kind: "field", source: subfield("vlan_tci", 0, 12) },
        to: { kind: "match", destination: subfield("vlan_tci", 0, 12) },
      },
      {
        from: { kind: "field", source: subfield("nxm_in_port") },
        to: { kind: "load", destination: subfield("reg1", 16, 16) },
      },
      { from: { kind: "field", source: subfield("nxm_in_port") }, to: { kind: "output" } },
    ],
  });
  const specs =
    "2010 0063 00000002 0000" +
    "000c 00000802 0000 00000802 0000" +
    "0810 00000002 0000 00010204 0010" +
    "1010 00000002 0000";
  assert.ok(encode(learn).includes(specs.replaceAll(" ", "")));
  assert.deepEqual(decode(encode(learn)), [learn]);
});

test("an unknown action, and a known one that names an unknown field, stay raw and are written as they came", () => {
  const unknown = "0063000800000000";
  const foreign = "ffff0010 00009999 0001 000000000000".replaceAll(" ", "");
  const copyOfUnknown = "001c0018 0008 0000 0000 0000 7fff0204 00010004 00000000".replaceAll(" ", "");
  for (const bytes of [unknown, foreign, copyOfUnknown]) {
    const [only] = decode(bytes);
    assert.equal(only?.kind, "raw");
    assert.equal(encode(only), bytes);
  }
});

test("older forms that a switch may send are understood", () => {
  assert.deepEqual(decode("ffff0010 00002320 0001 0003 00000000"), [act.resubmit(255, 3)]);
  assert.deepEqual(decode("ffff0010 00002320 0014 0080 0002 01 00"), [
    act.controller({ maxLength: 128, controllerId: 2, reason: 1 }),
  ]);
});

test("impossible lengths are refused", () => {
  for (const bytes of ["0000000000000000", "0000000c00000000 00000000", "0000001000000000"]) {
    assert.throws(() => decode(bytes), DecodeError);
  }
});

test("what the wire cannot say is refused", () => {
  const wide = { kind: "field", source: subfield("eth_src") } as const;
  const narrow = { kind: "match", destination: subfield("reg0", 0, 8) } as const;
  const crooked: readonly Action[] = [
    act.copyField(subfield("reg0", 0, 8), subfield("reg1", 0, 9)),
    act.ct({ zone: subfield("dp_hash", 0, 16) }),
    act.ct({ zone: 1, recircTable: 255 }),
    act.ct({ zone: 65536 }),
    act.outputField(subfield("xxreg0")),
    act.learn({ table: 1, specs: [{ from: wide, to: narrow }] }),
    act.learn({ table: 1, specs: [{ from: { kind: "immediate", value: 256n, bits: 8 }, to: narrow }] }),
    act.conjunction(1, 256, 2),
  ];
  for (const one of crooked) assert.throws(() => encode(one), EncodeError);
});

test("the learn flag that says where the result goes follows from the result", () => {
  const specs = [
    { from: { kind: "field", source: subfield("eth_src") }, to: { kind: "match", destination: subfield("eth_dst") } },
  ] as const;
  const bytes = encode(act.learn({ table: 1, flags: LearnFlag.deleteLearned, result: subfield("reg0", 4, 1), specs }));
  assert.equal(bytes.slice(48, 52), "0006");
});
