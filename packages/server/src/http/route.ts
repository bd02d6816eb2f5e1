/** Routes as data: which request is answered by what, and who may ask it. Tests of security take their list from here, so that none is forgotten. */
import type { Exchange, Reply } from "./exchange.ts";

/**
 * Who may call a route. `anybody`: no token is asked for. `bearer`: any valid token. `self`: the user whom the path names, or an admin. `admin`:
 * the admin role. `project`: who has a role in the project that the path names, or an admin. `policy`: a token, and then the resource's own policy, object by object. `join-token`: who bears a join token, over TLS.
 * `host`: a host with its present certificate, over TLS.
 */
export type Access = "anybody" | "bearer" | "self" | "admin" | "project" | "policy" | "join-token" | "host";

/** What a request must be like; a part of the path in braces stands for any one part that is not empty. */
export interface RouteShape {
  readonly method: string;
  readonly path: string;
  readonly access: Access;
}

export interface Route<Api> extends RouteShape {
  /** `parts`: what stood for the parts in braces, in order. */
  readonly answer: (api: Api, exchange: Exchange, ...parts: readonly string[]) => Reply | Promise<Reply>;
}

const partsOf = (path: string): readonly string[] => path.split("/").filter((part) => part !== "");

/** The first route that fits, with what stands for its parts in braces; undefined: none does. */
export function routeFor<R extends RouteShape>(
  routes: readonly R[],
  method: string,
  path: string,
): { readonly route: R; readonly parts: readonly string[] } | undefined {
  const asked = partsOf(path);
  for (const route of routes) {
    if (route.method !== method) continue;
    const shape = partsOf(route.path);
    if (shape.length !== asked.length) continue;
    if (!shape.every((part, at) => part.startsWith("{") || part === asked[at])) continue;
    return { route, parts: asked.filter((_, at) => shape[at]?.startsWith("{")) };
  }
  return undefined;
}
