/** `selvage history`: the question that it asks, and what it prints, against a real server's answer. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestServer } from "@selvage/server/testing";
import type { Output } from "../format.ts";
import { historyPath, printHistory } from "./history.ts";

function recorder() {
  const said = { text: "", note: "" };
  const output: Output = {
    text: (text) => {
      said.text += text;
    },
    note: (text) => {
      said.note += text;
    },
    isTerminal: false,
  };
  return { said, output };
}

test("the filters that were given are asked for, and no others", () => {
  assert.equal(historyPath({}), "/v1/history");
  assert.equal(historyPath({ data: "/x", json: true }), "/v1/history");
  assert.equal(
    historyPath({ since: "2026-01-01T00:00:00+01:00", kind: "port", limit: 5, before: 7 }),
    "/v1/history?since=2026-01-01T00%3A00%3A00%2B01%3A00&kind=port&before=7&limit=5",
  );
});

test("a table says who did what by which request, and how to go on", async () => {
  await using server = await startTestServer();
  const bulk = { networks: [{ name: "a" }, { name: "b" }, { name: "c" }] };
  await server.admin.post("/v2.0/networks", bulk, { "idempotency-key": "my bulk" });
  const { id } = await server.admin.create("network", { name: "blue" });
  await server.admin.delete(`/v2.0/networks/${id}`);
  const answer = await server.admin.get(historyPath({ kind: "network", limit: 3 }));
  const { said, output } = recorder();
  printHistory(answer.body, output);
  // Each network has a segment, which comes and goes with it.
  const [head, removed, written, first] = said.text.trim().split("\n");
  assert.match(head ?? "", /^REVISION\s+WHEN\s+WHO\s+PROJECT\s+WHAT\s+REQUEST$/);
  assert.match(
    removed ?? "",
    new RegExp(`^ *\\d+ +\\d{4}-\\S+Z +admin +\\w+ +network ${id} removed, 1 more +req-\\S+$`),
  );
  assert.match(written ?? "", new RegExp(`network blue \\(${id}\\) written, 1 more +req-`));
  assert.match(first ?? "", /network [abc] \([0-9a-f-]+\) written, 5 more +my bulk$/);
  assert.match(said.note, /--before \d+/);
});

test("nothing found is a heading and no word of more", () => {
  const { said, output } = recorder();
  printHistory({ history: [], next: null }, output);
  assert.equal(said.text.trim().split("\n").length, 1);
  assert.equal(said.note, "");
});
