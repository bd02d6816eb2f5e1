/** How many objects of each kind a project may have, where that is not what the settings say (Networking v2.0, `/v2.0/quotas`). */
import { field, reference } from "../fields.ts";
import { type ObjectOf, resource } from "../resource.ts";
import { dictionary, text } from "../types.ts";

/** Its id is the project's. */
export const Quota = resource({
  kind: "quota",
  plural: "quotas",
  fields: {
    id: field(text(64)),
    project_id: reference(text(64), "project", "cascade"),
    /** By kind (`port`); -1: as many as it likes. Kinds that are not named have the default. */
    limits: field(dictionary()),
  },
});
export type Quota = ObjectOf<typeof Quota>;
