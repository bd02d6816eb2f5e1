/** What a machine calls itself: what names are told of it (`dns_name`), else its port's name, as far as a host's name can say it (RFC 1123, section 2.1), else its first address. */
import type { Port } from "@selvage/model";

const longest = 63;

export function machineName(port: Pick<Port, "dns_name" | "name" | "fixed_ips" | "id">): string {
  const [label = ""] = (port.dns_name === "" ? port.name : port.dns_name).toLowerCase().split(".");
  const said = label
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, longest)
    .replaceAll(/^-+|-+$/g, "");
  if (said !== "") return said;
  const [first] = port.fixed_ips;
  const word = first === undefined ? port.id.slice(0, 8) : first.ip_address;
  return `host-${word.replaceAll(/[^a-z0-9]+/g, "-").replace(/-$/, "")}`;
}
