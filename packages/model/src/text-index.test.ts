import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TextIndex } from "./text-index.ts";

test("an index answers as a map of texts does, through additions, moves and deletions that shift its slots", () => {
  const step = fc.record({ what: fc.constantFrom("add", "move", "delete", "find"), text: fc.nat(200).map(String) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const model = new Map<string, number>();
      const texts = new Map<number, string>();
      let next = 0;
      const index = new TextIndex((number) => {
        const text = texts.get(number);
        assert.ok(text !== undefined, "it asks for the texts of what it holds alone");
        return text;
      });
      for (const { what, text } of steps) {
        const known = model.get(text) ?? 0;
        assert.equal(index.find(text), known);
        // Both signs: who keeps two sorts of things tells them apart so.
        next = next > 0 ? -next : 1 - next;
        if (what === "add" && known === 0) index.add(text, next);
        else if (what === "move" && known !== 0) index.move(text, known, next);
        else if (what === "delete" && known !== 0) index.delete(text, known);
        else continue;
        texts.delete(known);
        if (what === "delete") model.delete(text);
        else {
          model.set(text, next);
          texts.set(next, text);
        }
        assert.equal(index.size, model.size);
      }
      for (const [text, number] of model) assert.equal(index.find(text), number);
      assert.deepEqual([...index.numbers()].sort(), [...model.values()].sort());
    }),
  );
});

test("a number that a text has not is not taken from it", () => {
  const index = new TextIndex(String);
  index.add("1", 1);
  assert.throws(() => index.delete("1", 2), /1 has not the number 2/);
  assert.throws(() => index.move("2", 1, 3), /2 has not/);
});
