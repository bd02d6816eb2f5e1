/** The network and router that a project was given without naming any (Networking v2.0, `/v2.0/auto-allocated-topology`). */
import { field, reference } from "../fields.ts";
import { type ObjectOf, resource } from "../resource.ts";
import { text, uuid } from "../types.ts";

/** Its id is the project's. Gone as soon as its network or its router is. */
export const AutoTopology = resource({
  kind: "auto_allocated_topology",
  plural: "auto_allocated_topologies",
  fields: {
    id: field(text(64)),
    project_id: reference(text(64), "project", "cascade"),
    network_id: reference(uuid(), "network", "cascade"),
    router_id: reference(uuid(), "router", "cascade"),
  },
});
export type AutoTopology = ObjectOf<typeof AutoTopology>;
