/** Fuzzing of the parsers in the ordinary test run; `npm run fuzz` does the same for as long as one likes. */
import { targets } from "../../scripts/fuzz/targets.ts";
import { replay } from "./replay.ts";

for (const target of targets.filter(({ name }) => name !== "http" && name !== "join")) await replay(target);
