/** Availability zones: of hosts, as their operator says; of networks and routers, where they are (`availability_zone` and its kin). */
import { fail } from "@selvage/base";
import { field, Host, Network, Port, resource, text, type View } from "@selvage/model";
import { listed } from "./read-only.ts";
import type { ResourceRules } from "./rules.ts";

/** Made of the hosts: each serves networks and routers alike. */
const AvailabilityZone = resource({
  kind: "availability_zone",
  plural: "availability_zones",
  fields: {
    id: field(text(255), { readers: "hidden" }),
    name: field(text(255), { filter: true }),
    resource: field(text(32), { filter: true }),
    state: field(text(32), { filter: true }),
  },
});

const served = ["network", "router"] as const;

export const availabilityZoneRules: ResourceRules<typeof AvailabilityZone> = {
  ...listed("availability zones"),
  resource: AvailabilityZone,
  notFound: (id) => fail("AvailabilityZoneNotFound", { availability_zone: id }),
  made: {
    all: function* ({ view }) {
      const available = new Map<string, boolean>();
      for (const host of view.objects(Host)) {
        const { availability_zone: zone, admin_state_up: up } = host;
        available.set(zone, up || available.get(zone) === true);
      }
      for (const [name, up] of available) {
        for (const what of served) {
          yield { id: `${name}/${what}`, name, resource: what, state: up ? "available" : "unavailable" };
        }
      }
    },
    one: () => undefined,
  },
};

/** Hints of a POST. Throws AvailabilityZoneNotFound for a zone that no host is in. */
export function checkedZones(view: View, hints: unknown): readonly string[] {
  const zones = (hints ?? []) as readonly string[];
  for (const zone of zones) {
    if (!view.exists(Host.index.zone, zone)) throw fail("AvailabilityZoneNotFound", { availability_zone: zone });
  }
  return zones;
}

/** The zones of the hosts on which networks have ports, in order. */
export function zonesOf(view: View, networkIds: Iterable<string>): readonly string[] {
  const hosts = new Set<string>();
  for (const id of networkIds) {
    if (!view.has(Network, id)) continue;
    for (const port of view.by(Port.index.network_id, id)) hosts.add(port["binding:host_id"]);
  }
  const zones = [...hosts].flatMap((name) => view.by(Host.index.name, name).map((host) => host.availability_zone));
  return [...new Set(zones)].sort();
}
