/** The fields of the program: what each requires is a field too, and widths are those of the protocols. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostKeys, networkKeys, portKeys } from "@selvage/model";
import { F, type Field } from "./fields.ts";

const all: readonly (readonly [string, Field])[] = Object.entries(F);

test("a field is named as it is called, says what it is, and has the width of its kind", () => {
  for (const [name, field] of all) {
    assert.equal(field.name, name);
    assert.notEqual(field.text, "");
    // A name in memory is a zone of connection tracking, which a switch numbers in 16 bits.
    const ofName = field.home === "memory" ? 16 : 0;
    const width = { mac: 48, ip4: 32, ip6: 128, ip: 128, name: ofName, int: field.bits }[field.kind];
    assert.equal(field.bits, width, name);
    assert.ok(field.kind !== "int" || (field.bits > 0 && field.bits <= 53), name);
  }
});

test("what a field requires is a field of the frame, with a value that fits it", () => {
  const byName: ReadonlyMap<string, Field> = new Map(all);
  for (const [name, field] of all) {
    for (const [needed, value] of Object.entries(field.requires)) {
      const other = byName.get(needed);
      assert.equal(other?.home, "frame", name);
      assert.ok(value < 2 ** (other?.bits ?? 0), name);
    }
  }
});

test("keys of intent fit the fields that carry them", () => {
  assert.ok(networkKeys.last < 2 ** F.net.bits && networkKeys.last < 2 ** F.tunKey.bits);
  assert.ok(portKeys.last < 2 ** F.srcPort.bits && portKeys.last < 2 ** F.tunDstPort.bits);
  assert.ok(hostKeys.last < 2 ** F.host.bits);
  assert.ok(portKeys.first > 0, "0 is a flooded copy");
});
