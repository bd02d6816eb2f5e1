/** Fields: the table is whole, aliases and unknown ones decode, canonical form makes equal what the switch tells differently. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalMatch, fieldValue } from "./canonical.ts";
import { decodeFields, encodeFields, type Match, subfield } from "./field.ts";
import { fieldByNumber, fields, isFieldName } from "./field-table.ts";
import { match } from "./testing/arbitrary-actions.ts";
import { EncodeError, Reader, Writer } from "./wire.ts";

const encode = (value: Match) => {
  const w = new Writer();
  encodeFields(w, value);
  return w.take();
};
const decode = (text: string) =>
  decodeFields(new Reader(new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ""), "hex"))));

test("every field is found again by its number, and no two share one", () => {
  const all = Object.entries(fields);
  assert.equal(all.length, 69 + 16 + 8 + 4 + 64 + 1);
  for (const [name, field] of all) {
    assert.equal(field.name, name);
    assert.equal(fieldByNumber(field.oxmClass, field.number, field.experimenter), field);
    assert.ok(field.bits <= field.bytes * 8);
  }
  assert.equal(fieldByNumber(0x8000, 127, 0), undefined);
  assert.equal(fieldByNumber(0xffff, 0, 0x9999), undefined);
  assert.ok(isFieldName("reg0") && !isFieldName("toString"));
});

test("fields under Nicira's and ONF's other numbers decode to the same names", () => {
  assert.deepEqual(decode("00000406 fa163e000001"), [{ field: "eth_src", value: 0xfa16_3e00_0001 }]);
  assert.deepEqual(decode("00012110 0000000000000005 00000000000000ff"), [
    { field: "tunnel_id", value: 5n, mask: 255n },
  ]);
  assert.deepEqual(decode("ffff5406 4f4e4600 0002"), [{ field: "tcp_flags", value: 2 }]);
  assert.deepEqual(decode("ffff0008 00002320 00000007"), [{ field: "dp_hash", value: 7 }]);
});

test("a known field of another length stays raw", () => {
  assert.deepEqual(decode("80000002 0001"), [{ field: "raw", oxm: new Uint8Array([0x80, 0, 0, 2, 0, 1]) }]);
});

test("a tunnel option of zero, which a switch tells without any byte, is that field and not a raw one", () => {
  assert.deepEqual(decode("00015000"), [{ field: "tun_metadata0", value: new Uint8Array(0) }]);
});

test("values of the wrong form and runs outside a field are refused", () => {
  assert.throws(() => encode([{ field: "in_port", value: new Uint8Array(4) }]), EncodeError);
  assert.throws(() => encode([{ field: "tun_metadata3", value: 1 }]), EncodeError);
  assert.throws(() => encode([{ field: "tun_metadata3", value: new Uint8Array(125) }]), EncodeError);
  assert.throws(
    () => encode([{ field: "tun_metadata3", value: new Uint8Array(4), mask: new Uint8Array(3) }]),
    EncodeError,
  );
  assert.throws(() => encode([{ field: "nw_ttl", value: 256 }]), EncodeError);
  assert.throws(() => subfield("reg0", 30, 3), EncodeError);
  assert.throws(() => subfield("reg0", 0, 0), EncodeError);
  assert.deepEqual(subfield("vlan_vid", 1), { field: "vlan_vid", offset: 1, bits: 12 });
});

test("canonical form is the same for what means the same", () => {
  const sent: Match = [
    { field: "reg1", value: 6 },
    { field: "eth_type", value: 0x0800 },
    { field: "reg0", value: 0x30, mask: 0xf0 },
    { field: "metadata", value: 5 },
    { field: "ct_mark", value: 0xff, mask: 0x0f },
    { field: "vlan_tci", value: 0x7064, mask: 0xffff },
    { field: "nw_tos", value: 184 },
    { field: "tun_metadata0", value: new Uint8Array([1]), mask: new Uint8Array([255]) },
  ];
  const told: Match = [
    { field: "xreg0", value: 0x30_0000_0006n, mask: 0xf0_ffff_ffffn },
    { field: "ct_mark", value: 0x0f, mask: 0x0f },
    { field: "metadata", value: 5n, mask: (1n << 64n) - 1n },
    { field: "ip_dscp", value: 46 },
    { field: "pkt_mark", value: 9, mask: 0 },
    { field: "vlan_pcp", value: 3 },
    { field: "vlan_vid", value: 0x1064, mask: 0x1fff },
    { field: "eth_type", value: 0x0800 },
    { field: "tun_metadata0", value: new Uint8Array([1]) },
  ];
  assert.deepEqual(canonicalMatch(sent), canonicalMatch(told));
  assert.deepEqual(canonicalMatch([{ field: "xxreg1", value: 1n << 32n, mask: 0xffff_ffffn << 32n }]), [
    { field: "reg6", value: 1 },
  ]);
  assert.deepEqual(canonicalMatch([{ field: "vlan_tci", value: 0 }]), [{ field: "vlan_tci", value: 0 }]);
  assert.notDeepEqual(canonicalMatch([{ field: "reg0", value: 0 }]), canonicalMatch([]));
});

test("canonical form is a fixed point", () => {
  fc.assert(
    fc.property(match, (value) => assert.deepEqual(canonicalMatch(canonicalMatch(value)), canonicalMatch(value))),
  );
});

test("a value is found in its own field, in a wide register or in its parts, and zero is a value", () => {
  const metadata: Match = [
    { field: "xreg1", value: 0x0000_0007_0000_0000n },
    { field: "in_port", value: 0 },
  ];
  assert.equal(fieldValue(metadata, "reg2"), 7);
  assert.equal(fieldValue(metadata, "reg3"), 0);
  assert.equal(fieldValue(metadata, "in_port"), 0);
  assert.equal(fieldValue(metadata, "reg0"), undefined);
  assert.equal(fieldValue(metadata, "xxreg0"), 7n << 32n);
  assert.equal(fieldValue(metadata, "xxreg1"), undefined);
  assert.equal(fieldValue([{ field: "reg9", value: 1 }], "xreg4"), 1n);
});
