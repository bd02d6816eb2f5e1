/** Subnets of which floating IPs may be: of the external networks that the caller may use (extension `floatingip-pools`). Only listed. */
import { fail } from "@selvage/base";
import { cidr, field, Network, type ObjectOf, resource, Subnet, text, uuid } from "@selvage/model";
import { isAdmin } from "../api/policy.ts";
import { isExternalTo } from "./external.ts";
import { listed } from "./read-only.ts";
import type { ResourceRules } from "./rules.ts";

const FloatingIpPool = resource({
  kind: "floatingip_pool",
  plural: "floatingip_pools",
  fields: {
    id: field(uuid(), { readers: "hidden" }),
    subnet_id: field(uuid()),
    subnet_name: field(text(255)),
    tenant_id: field(text(255)),
    network_id: field(uuid()),
    cidr: field(cidr()),
    project_id: field(text(255)),
  },
});
type FloatingIpPool = ObjectOf<typeof FloatingIpPool>;

export const floatingIpPoolRules: ResourceRules<typeof FloatingIpPool> = {
  ...listed("pools of floating IPs"),
  resource: FloatingIpPool,
  notFound: () => fail("HTTPNotFound"),
  made: {
    all: function* ({ view }, caller): Iterable<FloatingIpPool> {
      const project_id = caller.projectId ?? "";
      for (const network of view.by(Network.index.external, "external")) {
        const isOwn = network.project_id === project_id || isAdmin(caller, { projectId: project_id });
        if (!isOwn && !isExternalTo(view, network.id, project_id)) continue;
        for (const { id, name, cidr, ip_version } of view.by(Subnet.index.network_id, network.id)) {
          if (ip_version !== 4) continue;
          const { id: network_id } = network;
          yield { id, subnet_id: id, subnet_name: name, tenant_id: project_id, network_id, cidr, project_id };
        }
      }
    },
    one: () => undefined,
  },
};
