/** How many addresses each network has, and how many of them are in use (`network-ip-availability`). Admin only. */
import { fail } from "@selvage/base";
import {
  computed,
  dictionary,
  field,
  integer,
  list,
  Network,
  type Network as NetworkObject,
  type ObjectOf,
  oneOf,
  Port,
  resource,
  Subnet,
  type Subnet as SubnetObject,
  text,
  uuid,
  type View,
} from "@selvage/model";
import { spanOf } from "../allocate.ts";
import { isAdmin } from "../api/policy.ts";
import { unwritten } from "./read-only.ts";
import type { ResourceRules } from "./rules.ts";

// ECMAScript's, and newer than the compiler's declarations.
const json = JSON as typeof JSON & { readonly rawJSON: (text: string) => unknown };

const count = integer(0, Number.MAX_SAFE_INTEGER);

const IpAvailability = resource({
  kind: "network_ip_availability",
  plural: "network_ip_availabilities",
  fields: {
    id: field(uuid(), { readers: "hidden" }),
    network_id: field(uuid(), { filter: true, sort: true }),
    network_name: field(text(255), { filter: true, sort: true }),
    tenant_id: field(text(255), { filter: true }),
    project_id: field(text(255), { filter: true }),
    /** Of which subnets the numbers are: a filter alone, that no reply shows. */
    ip_version: computed(oneOf([4, 6]), { filter: true }),
    subnet_ip_availability: computed(list(dictionary())),
    used_ips: computed(count),
    total_ips: computed(count),
    /** The version that was asked for; empty: both. */
    versions: field(list(oneOf([4, 6])), { readers: "hidden" }),
  },
});
type IpAvailability = ObjectOf<typeof IpAvailability>;

export const ipAvailabilityRules: ResourceRules<typeof IpAvailability> = {
  ...unwritten("address counts"),
  resource: IpAvailability,
  path: "network-ip-availabilities",
  verbs: ["list", "show"],
  notFound: (id) => fail("NetworkNotFound", { id }),
  policy: { get: isAdmin, create: isAdmin, update: isAdmin, delete: isAdmin, attributes: {} },
  target: () => ({ projectId: "" }),
  made: {
    all: function* ({ view }, _caller, query) {
      const versions = query
        .all("ip_version")
        .map(Number)
        .filter((each) => each === 4 || each === 6);
      for (const network of view.objects(Network)) {
        const made = availabilityOf(network, versions);
        if (versions.length === 0 || subnetsOf(view, made).length > 0) yield made;
      }
    },
    one: ({ view }, id) => {
      const network = view.get(Network, id);
      return network === undefined ? undefined : availabilityOf(network, []);
    },
  },
  computed: {
    ip_version: () => undefined,
    subnet_ip_availability: (made, { view }) =>
      subnetsOf(view, made).map((subnet) => ({
        subnet_id: subnet.id,
        ip_version: subnet.ip_version,
        cidr: subnet.cidr,
        subnet_name: subnet.name,
        used_ips: usedOf(view, subnet),
        total_ips: numeral(totalOf(subnet)),
      })),
    used_ips: (made, { view }) => subnetsOf(view, made).reduce((sum, subnet) => sum + usedOf(view, subnet), 0),
    total_ips: (made, { view }) => numeral(subnetsOf(view, made).reduce((sum, subnet) => sum + totalOf(subnet), 0n)),
  },
  // Which subnets are counted is settled where the numbers are made.
  filters: { ip_version: () => () => true },
};

function availabilityOf(network: NetworkObject, versions: IpAvailability["versions"]): IpAvailability {
  const { id, name, project_id } = network;
  return { id, network_id: id, network_name: name, tenant_id: project_id, project_id, versions };
}

function subnetsOf(view: View, { network_id, versions }: IpAvailability): readonly SubnetObject[] {
  const all = view.by(Subnet.index.network_id, network_id);
  return versions.length === 0 ? all : all.filter((subnet) => versions.includes(subnet.ip_version));
}

function usedOf(view: View, { id }: SubnetObject): number {
  const fixed = view.by(Port.index.subnet, id).flatMap((port) => port.fixed_ips);
  return fixed.filter(({ subnet_id }) => subnet_id === id).length;
}

/** What its pools hold; a /64 has more than a number can say exactly. */
function totalOf({ allocation_pools }: SubnetObject): bigint {
  return allocation_pools.map(spanOf).reduce((sum, { first, last }) => sum + last - first + 1n, 0n);
}

/** A whole number as JSON writes it, however large (RFC 8259, section 6, sets no bound). */
function numeral(value: bigint): unknown {
  return json.rawJSON(String(value));
}
