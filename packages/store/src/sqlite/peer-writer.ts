/** A program for the test of several processes on one file: appends so many entries, each until it is taken, and prints `revision id` of each. */
import { entry } from "../testing/entries.ts";
import { openSqlite } from "./sqlite.ts";

const [path, count] = process.argv.slice(2);
if (path === undefined) throw new Error("usage: peer-writer.ts FILE COUNT");
const store = await openSqlite({ path });
for (let done = 0; done < Number(count); done += 1) {
  const each = entry();
  let { head } = await store.bounds();
  for (;;) {
    const answer = await store.append(head, [each]);
    if (answer.outcome === "appended") {
      process.stdout.write(`${answer.revision} ${each.id}\n`);
      break;
    }
    head = answer.head;
  }
}
await store.close();
