/** Providers of advanced services (`service-type`): what a router, a network or a port does here is done by every host, so there is none to choose. */
import { fail } from "@selvage/base";
import { boolean, field, resource, text } from "@selvage/model";
import type { ResourceRules } from "./rules.ts";
import { readOnly } from "./zones.ts";

const ServiceProvider = resource({
  kind: "service_provider",
  plural: "service_providers",
  fields: {
    id: field(text(255), { readers: "hidden" }),
    service_type: field(text(255), { filter: true }),
    name: field(text(255), { filter: true }),
    default: field(boolean(), { filter: true }),
  },
});

export const serviceProviderRules: ResourceRules<typeof ServiceProvider> = {
  resource: ServiceProvider,
  path: "service-providers",
  verbs: ["list"],
  notFound: () => fail("HTTPNotFound"),
  policy: {
    get: (caller) => caller.roles.has("reader"),
    create: () => false,
    update: () => false,
    delete: () => false,
    attributes: {},
  },
  target: () => ({ projectId: "" }),
  computed: {},
  made: { all: () => [], one: () => undefined },
  ...readOnly("service providers"),
};
