/** Routes under `/v2.0` that are no declared collection's verbs and no action of its objects: each area's own list, in one table. */
import type { Reply } from "../http/exchange.ts";
import type { RouteShape } from "../http/route.ts";
import type { Asked } from "./asked.ts";
import { autoTopologyRoutes } from "./auto-topology.ts";
import { quotaRoutes } from "./quotas.ts";
import { tagRoutes } from "./tags.ts";

/** `parts`: what stood for the parts of the path in braces, in order. */
export interface FreeRoute extends RouteShape {
  readonly answer: (asked: Asked, ...parts: readonly string[]) => Reply | Promise<Reply>;
}

export const freeRoutes: readonly FreeRoute[] = Object.freeze([...autoTopologyRoutes, ...quotaRoutes, ...tagRoutes]);
