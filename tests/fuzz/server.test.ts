/** Fuzzing of the server, as it is asked over HTTP and TLS, in the ordinary test run. */
import { http } from "../../scripts/fuzz/targets/http.ts";
import { join } from "../../scripts/fuzz/targets/join.ts";
import { replay } from "./replay.ts";

for (const target of [http, join]) await replay(target);
