/** Entry of the lab's supervisor process, run by init.sh as `node init-main.ts LAUNCH` with a LabLaunch as JSON. */

import { type LabLaunch, startLabInit } from "./init.ts";
import { message } from "./supervise.ts";

const [text] = process.argv.slice(2);
if (text === undefined) {
  process.stderr.write("usage: init-main.ts LAUNCH (JSON)\n");
  process.exit(64);
}

try {
  // Written by this package's own lab starter of the same version.
  const launch = JSON.parse(text) as LabLaunch;
  const lab = await startLabInit(launch, () => process.exit(0));
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => void lab.stop());
} catch (cause) {
  process.stderr.write(`lab: ${message(cause)}\n`);
  process.exit(1);
}
