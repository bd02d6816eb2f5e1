/** A program for the durability test: appends to a file without end and prints what was acknowledged, until it is killed. */
import { entry, put, remove } from "../testing/entries.ts";
import { openSqlite } from "./sqlite.ts";

/** Objects that every entry writes alike: a half-applied entry shows. */
const copies = 7;
/** Entries under way at a time. */
const inFlight = 12;

/** One line for each acknowledged append: its revision, the number of its entries, their ids. */
async function write(path: string): Promise<never> {
  const store = await openSqlite({ path });
  let { head } = await store.bounds();
  for (;;) {
    const sent: Promise<void>[] = [];
    for (let at = 0; at < inFlight; at += 1) {
      const batch = Array.from({ length: 1 + (at % 3) }, () => {
        const value = crypto.randomUUID();
        const marks = Array.from({ length: copies }, (_, copy) => put("mark", `m${copy}`, { value }));
        return entry(...marks, put("own", value), remove("own", `gone-${value}`));
      });
      const from = head;
      head += batch.length;
      sent.push(
        store.append(from, batch).then((answer) => {
          if (answer.outcome !== "appended") throw new Error(`moved to ${answer.head} while nobody else writes`);
          // To a pipe this waits until the reader has room; `writeSync` of its descriptor fails then.
          process.stdout.write(`${answer.revision} ${batch.map(({ id }) => id).join(",")}\n`);
        }),
      );
    }
    await Promise.all(sent);
  }
}

const [path] = process.argv.slice(2);
if (path === undefined) throw new Error("usage: crash-writer.ts FILE");
await write(path);
