/** Facts of one host, in its own view beside intent: what is plugged into its switch now. Never in the log. */
import { field } from "../fields.ts";
import { type ObjectOf, resource } from "../resource.ts";
import { uuid } from "../types.ts";

/** An interface on this switch whose `external_ids:iface-id` is a port's id. Its id is that port's. */
export const Attachment = resource({
  kind: "attachment",
  plural: "attachments",
  fact: true,
  fields: { id: field(uuid()) },
});
export type Attachment = ObjectOf<typeof Attachment>;
