/** What every app says of one small intent, in golden text; and that apps write only their own tables. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { selvageProgram } from "@selvage/pipeline";
import { apps } from "./mod.ts";
import { assertGolden, goldenRows } from "./testing/golden.ts";

for (const app of apps) test(`the rows of ${app.name} are those of its golden file`, () => assertGolden(app));

test("no row of one app is another's", () => {
  const owners = new Map<string, string>();
  for (const app of apps) {
    for (const { id } of goldenRows(app)) {
      assert.equal(owners.get(id), undefined, id);
      owners.set(id, app.name);
    }
  }
});

test("every table that is not all constants is written by an app, and each that is written is of the program", () => {
  const written = new Set(apps.flatMap((app) => app.tables));
  for (const table of written) assert.equal(selvageProgram.byName.get(table.name), table);
  const closed = [
    ...[
      "fragments",
      "service_class",
      "copies",
      "track_out",
      "commit_out",
      "kept_out",
      "track_in",
      "commit_in",
      "kept_in",
    ],
    ...["hops", "wire_fragments", "ext_in_state", "snat_state", "snat_check", "nat_asked"],
  ];
  assert.deepEqual(
    selvageProgram.tables.filter((table) => !written.has(table)).map(({ name }) => name),
    [...closed],
  );
});
