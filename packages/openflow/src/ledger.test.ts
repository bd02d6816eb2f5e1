/** The ledger: ids never leave 32 bits nor overlap within a batch, and an error finds its message until it is forgotten. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { flowMod } from "./flow.ts";
import { Ledger } from "./ledger.ts";

const error = { kind: "error", type: 5, code: 1, experimenter: 0, data: new Uint8Array(0) } as const;

test("ids begin again at 1 before they would exceed 32 bits, and 0 is never given", () => {
  const ledger = new Ledger();
  assert.equal(ledger.allocate(), 1);
  assert.equal(ledger.allocate(0xffff_fff0), 2);
  assert.equal(ledger.allocate(13), 0xffff_fff2);
  assert.equal(ledger.allocate(2), 1);
  assert.equal(ledger.allocate(), 3);
});

test("an error is noted with its message, in whichever batch, until the batch is forgotten", () => {
  const ledger = new Ledger();
  const messages = [flowMod({ priority: 0 }), flowMod({ priority: 1 })];
  const first = ledger.record(messages);
  const second = ledger.record(messages);
  assert.ok(ledger.blame(second.firstXid + 1, error));
  assert.deepEqual([first.failures.length, second.failures.map(({ request }) => request)], [0, [messages[1]]]);
  assert.equal(ledger.blame(second.firstXid + 2, error), false);
  ledger.forget(second);
  assert.equal(ledger.blame(second.firstXid, error), false);
  assert.ok(ledger.blame(first.firstXid, error));
});
