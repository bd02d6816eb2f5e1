/** What `selvage nat leases` says of held and of resting blocks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { showLeases } from "./nat.ts";

test("each block is a line: who has it, whether what is new begins there, and what rests", () => {
  const said: string[] = [];
  const output = { text: (text: string) => void said.push(text), note: () => undefined, isTerminal: false };
  showLeases(
    {
      nat_leases: [
        {
          address: "203.0.113.10",
          first_port: 1024,
          last_port: 2047,
          host: { id: "1", name: "h1" },
          router: { id: "r-id", name: "" },
          current: true,
        },
        {
          address: "203.0.113.10",
          first_port: 2048,
          last_port: 2111,
          host: { id: "2", name: "h2" },
          router: { id: "r-id", name: "edge" },
          current: false,
        },
      ],
      rests: [{ address: "203.0.113.10", first_port: 4096, last_port: 5119, until: "2026-01-01T00:02:00Z" }],
    },
    output,
  );
  const lines = said.join("").split("\n");
  assert.match(lines[1] ?? "", /203\.0\.113\.10 +1024-2047 +h1 +r-id +in use/);
  assert.match(lines[2] ?? "", /203\.0\.113\.10 +2048-2111 +h2 +edge +draining/);
  assert.match(lines[3] ?? "", /203\.0\.113\.10 +4096-5119 +- +- +rests until 2026-01-01T00:02:00Z/);
});
