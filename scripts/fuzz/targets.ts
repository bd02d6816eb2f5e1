/** All fuzz targets, by name. */
import type { Target } from "./target.ts";
import { addresses, fields } from "./targets/addresses.ts";
import { config } from "./targets/config.ts";
import { dns } from "./targets/dns.ts";
import { http } from "./targets/http.ts";
import { join } from "./targets/join.ts";
import { metadata } from "./targets/metadata.ts";
import { openflow } from "./targets/openflow.ts";
import { ovsdb } from "./targets/ovsdb.ts";
import { frame, packet } from "./targets/packet.ts";
import { sync } from "./targets/sync.ts";

export const targets: readonly Target[] = [
  openflow,
  ovsdb,
  packet,
  frame,
  dns,
  sync,
  config,
  addresses,
  fields,
  http,
  join,
  metadata,
];
