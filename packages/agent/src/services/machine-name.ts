/** What a machine calls itself: its port's name, as far as a host's name can say it (RFC 1123, section 2.1), else its first address. */
import type { Port } from "@selvage/model";

const longest = 63;

export function machineName(port: Pick<Port, "name" | "fixed_ips" | "id">): string {
  const [label = ""] = port.name.toLowerCase().split(".");
  const said = label
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, longest)
    .replaceAll(/^-+|-+$/g, "");
  if (said !== "") return said;
  const [first] = port.fixed_ips;
  const word = first === undefined ? port.id.slice(0, 8) : first.ip_address;
  return `host-${word.replaceAll(/[^a-z0-9]+/g, "-").replace(/-$/, "")}`;
}
