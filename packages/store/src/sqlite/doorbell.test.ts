/** The doorbell between processes: a ring on one is heard on another; losing the file or the watch harms nobody. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Doorbell } from "./doorbell.ts";

const folder = mkdtempSync(join(tmpdir(), "selvage-bell-"));
after(() => rmSync(folder, { recursive: true }));

/** Longer than the test may take: who hears anything has heard the ring. */
const noPoll = 1_000_000;

test("a ring is heard by another on the same file, without the poll", { timeout: 20_000 }, async () => {
  const path = join(folder, "file");
  writeFileSync(path, "");
  const heard = Promise.withResolvers<void>();
  const [listener, ringer] = [
    new Doorbell(path, noPoll, () => heard.resolve()),
    new Doorbell(path, noPoll, () => undefined),
  ];
  ringer.ring();
  await heard.promise;
  listener.close();
  ringer.close();
});

test("without a file to watch the poll remains, and ringing is no error", { timeout: 20_000 }, async () => {
  const polled = Promise.withResolvers<void>();
  const bell = new Doorbell(join(folder, "absent"), 5, () => polled.resolve());
  bell.ring();
  // The poll does not keep a process alive by itself.
  const alive = setInterval(() => undefined, 1_000);
  await polled.promise;
  clearInterval(alive);
  bell.close();
});
