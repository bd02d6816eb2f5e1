/** Providers of advanced services (`service-type`): what a router, a network or a port does here is done by every host, so there is none to choose. */
import { fail } from "@selvage/base";
import { boolean, field, resource, text } from "@selvage/model";
import { listed } from "./read-only.ts";
import type { ResourceRules } from "./rules.ts";

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
  ...listed("service providers"),
  resource: ServiceProvider,
  path: "service-providers",
  notFound: () => fail("HTTPNotFound"),
  made: { all: () => [], one: () => undefined },
};
