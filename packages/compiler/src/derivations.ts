/** All apps, and the derivations that they make for one host. */
import type { Derivation } from "@selvage/model";
import type { Row } from "@selvage/pipeline";
import type { App, Here } from "./app.ts";
import { binding } from "./apps/binding.ts";
import { carriage } from "./apps/carriage.ts";
import { dhcp } from "./apps/dhcp.ts";
import { floating } from "./apps/floating.ts";
import { flood } from "./apps/flood.ts";
import { gateways } from "./apps/gateways.ts";
import { guard } from "./apps/guard.ts";
import { hostGateways } from "./apps/host-gateways.ts";
import { metadata } from "./apps/metadata.ts";
import { moving } from "./apps/moving.ts";
import { neighbours } from "./apps/neighbours.ts";
import { physical } from "./apps/physical.ts";
import { routers } from "./apps/routers.ts";
import { securityGroups } from "./apps/security-groups.ts";
import { sourceNat } from "./apps/source-nat.ts";
import { tunnels } from "./apps/tunnels.ts";
import { unicast } from "./apps/unicast.ts";
import { wiredRouters } from "./apps/wired-routers.ts";

export const apps: readonly App[] = Object.freeze([
  binding,
  guard,
  neighbours,
  dhcp,
  metadata,
  carriage,
  unicast,
  flood,
  routers,
  tunnels,
  securityGroups,
  physical,
  gateways,
  floating,
  hostGateways,
  sourceNat,
  wiredRouters,
  moving,
]);

/** Every derivation of every app, for one host; each is named `app: derivation`, which is what provenance shows. */
export const derivationsFor = (here: Here): readonly Derivation<Row>[] =>
  apps.flatMap((app) => app.derivations(here).map((each) => ({ ...each, name: `${app.name}: ${each.name}` })));
