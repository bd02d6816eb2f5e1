/** What a run of Tempest is told of the server: what it offers as it says itself, a network outside when it can have one, and `tempest.conf`. */

import type { Json, TestServer } from "@selvage/server/testing";

/** What gateways and floating IPs take: without all of it Tempest is told of no network outside, and skips their tests by itself. */
const OUTSIDE = ["external-net", "ext-gw-mode", "/v2.0/floatingips"];

/** Aliases of the extensions that the server lists, and the paths of its collections, as it says itself. Throws when it answers neither. */
export async function offeredBy(server: TestServer): Promise<ReadonlySet<string>> {
  const [extensions, root] = await Promise.all([server.admin.get("/v2.0/extensions"), server.admin.get("/v2.0/")]);
  const names = [extensions.body.extensions as readonly Json[], root.body.resources as readonly Json[]];
  return new Set(
    names.flatMap((each) => each.map(({ alias, collection }) => String(alias ?? `/v2.0/${String(collection)}`))),
  );
}

/** Makes the network outside that the tests take gateways and floating IPs from, once the server can. Gives its id. Throws when it is refused. */
export async function networkOutside(
  server: TestServer,
  offered: ReadonlySet<string>,
): Promise<{ readonly id: string; readonly name: string } | undefined> {
  if (!OUTSIDE.every((each) => offered.has(each))) return undefined;
  const name = "tempest-outside";
  const made = async (path: string, body: Json): Promise<Json> => {
    const answer = await server.admin.post(path, body);
    if (answer.status !== 201) throw new Error(`POST ${path} for the network outside: ${answer.status} ${answer.text}`);
    return answer.body;
  };
  const place = { "provider:network_type": "flat", "provider:physical_network": "public" };
  const { network } = await made("/v2.0/networks", { network: { name, "router:external": true, ...place } });
  const id = String((network as Json).id);
  for (const subnet of [
    { ip_version: 4, cidr: "203.0.113.0/24" },
    { ip_version: 6, cidr: "2001:db8:ff::/64" },
  ]) {
    await made("/v2.0/subnets", { subnet: { network_id: id, enable_dhcp: false, ...subnet } });
  }
  // What a project's whole topology is made of, where a test asks for one.
  const pool = { name: "tempest-all", prefixes: ["10.128.0.0/12"], default_prefixlen: 24 };
  await made("/v2.0/subnetpools", { subnetpool: { ...pool, shared: true, is_default: true } });
  return { id, name };
}

/** `tempest.conf`: accounts are made as the tests need them; no compute, image or volume service; what the server offers, and no more. */
export function configuration(
  server: TestServer,
  directory: string,
  offered: ReadonlySet<string>,
  outside: { readonly id: string; readonly name: string } | undefined,
): string {
  const { region } = server.running.core.settings;
  const sections: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    DEFAULT: { log_dir: directory, log_file: "tempest.log", debug: "false" },
    auth: {
      use_dynamic_credentials: "true",
      admin_username: "admin",
      admin_password: server.adminPassword,
      admin_project_name: "admin",
      admin_domain_name: "Default",
      tempest_roles: "member",
    },
    identity: { uri_v3: `${server.url}/identity/v3`, auth_version: "v3", region },
    "identity-feature-enabled": { api_v2: "false", api_v3: "true" },
    network: {
      region,
      project_network_cidr: "10.100.0.0/16",
      ...(outside === undefined ? {} : { public_network_id: outside.id, floating_network_name: outside.name }),
    },
    "network-feature-enabled": {
      api_extensions: [...offered].filter((each) => !each.startsWith("/")).join(","),
      ipv6: "true",
      ipv6_subnet_attributes: "true",
      floating_ips: String(outside !== undefined),
      port_security: String(offered.has("port-security")),
    },
    // What Neutron's own plugin for Tempest asks for besides.
    neutron_plugin_options: { available_type_drivers: "flat,vlan,vxlan,geneve", create_shared_resources: "true" },
    service_available: { neutron: "true", nova: "false", glance: "false", cinder: "false", swift: "false" },
    oslo_concurrency: { lock_path: directory },
  };
  return Object.entries(sections)
    .map(([name, settings]) => {
      const lines = Object.entries(settings).map(([key, value]) => `${key} = ${value}`);
      return `[${name}]\n${lines.join("\n")}\n`;
    })
    .join("\n");
}
