/** Requests to begin with when the API is fuzzed, and the words of its language (Networking v2.0, Identity v3, our own /v1). */

const admin = "X-Auth-Token: @admin@";
const member = "X-Auth-Token: @member@";

/** Without a body; HEAD without a token too. */
const plain: readonly string[] = [
  ...[
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/v2.0",
    "/v2.0/extensions",
    "/v2.0/extensions/port-security",
    "/v1",
    "/v1/status",
    "/v1/hosts",
    "/v1/hosts/h1",
  ],
  ...[
    "/identity/v3",
    "/identity/v3/projects",
    "/identity/v3/users",
    "/identity/v3/roles",
    "/identity/v3/role_assignments",
    "/identity/v3/auth/projects",
  ],
  ...[
    "/identity/v3/auth/catalog",
    "/identity/v3/services",
    "/identity/v3/endpoints",
    "/identity/v3/regions",
    "/identity/v3/domains",
  ],
  "/v2.0/networks?fields=id&fields=name&sort_key=name&sort_dir=desc&limit=2",
  "/v2.0/networks?marker=@net@&limit=1&page_reverse=True&name=n&admin_state_up=true",
  "/v2.0/subnets?cidr=10.0.0.0/24&ip_version=4&network_id=@net@&limit=0",
  "/v2.0/ports?fixed_ips=ip_address%3D10.0.0.2&fixed_ips=subnet_id%3D@subnet@&mac_address=fa:16:3e:00:00:01",
  "/v2.0/ports/@port@.json?fields=fixed_ips",
  "/v2.0/subnets/@subnet@",
  "/v2.0/networks/@net@",
].flatMap((path) => [`GET ${path}\n${admin}`, `GET ${path}\n${member}`, `HEAD ${path}`]);

const bodies: readonly (readonly [line: string, body: unknown])[] = [
  [
    "POST /v2.0/networks",
    {
      network: {
        name: "a",
        admin_state_up: true,
        shared: false,
        mtu: 1400,
        description: "d",
        "router:external": false,
      },
    },
  ],
  ["POST /v2.0/networks", { networks: [{ name: "a" }, { name: "b", project_id: "@project@" }] }],
  ["POST /v2.0/networks", { network: { "provider:network_type": "geneve", "provider:segmentation_id": 77 } }],
  ["PUT /v2.0/networks/@net@", { network: { name: "z", admin_state_up: false } }],
  [
    "POST /v2.0/subnets",
    {
      subnet: {
        network_id: "@net@",
        cidr: "10.1.0.0/24",
        ip_version: 4,
        gateway_ip: "10.1.0.1",
        enable_dhcp: true,
        allocation_pools: [{ start: "10.1.0.10", end: "10.1.0.20" }],
        dns_nameservers: ["10.1.0.53"],
        host_routes: [{ destination: "10.9.0.0/16", nexthop: "10.1.0.2" }],
      },
    },
  ],
  [
    "POST /v2.0/subnets",
    {
      subnet: {
        network_id: "@net@",
        cidr: "fd00:1::/64",
        ip_version: 6,
        ipv6_ra_mode: "slaac",
        ipv6_address_mode: "slaac",
      },
    },
  ],
  [
    "PUT /v2.0/subnets/@subnet@",
    { subnet: { gateway_ip: null, allocation_pools: [{ start: "10.0.0.5", end: "10.0.0.9" }], host_routes: [] } },
  ],
  [
    "POST /v2.0/ports",
    {
      port: {
        network_id: "@net@",
        name: "p",
        mac_address: "fa:16:3e:00:00:aa",
        fixed_ips: [{ subnet_id: "@subnet@", ip_address: "10.0.0.77" }],
        allowed_address_pairs: [{ ip_address: "10.0.0.99", mac_address: "fa:16:3e:00:00:01" }],
        "binding:host_id": "h1",
        "binding:profile": { a: 1 },
        device_id: "d",
        device_owner: "compute:x",
        port_security_enabled: true,
        security_groups: [],
        extra_dhcp_opts: [],
      },
    },
  ],
  [
    "POST /v2.0/ports",
    { ports: [{ network_id: "@net@" }, { network_id: "@net@", fixed_ips: [{ subnet_id: "@subnet@" }] }] },
  ],
  [
    "PUT /v2.0/ports/@port@",
    { port: { fixed_ips: [], "binding:host_id": "h1", name: "q", mac_address: "fa:16:3e:00:00:ab" } },
  ],
  [
    "POST /identity/v3/auth/tokens",
    {
      auth: {
        identity: {
          methods: ["password"],
          password: { user: { name: "p-member", domain: { id: "default" }, password: "not a secret" } },
        },
        scope: { project: { name: "p", domain: { name: "Default" } } },
      },
    },
  ],
  [
    "POST /identity/v3/auth/tokens",
    { auth: { identity: { methods: ["token"], token: { id: "@member@" } }, scope: { project: { id: "@project@" } } } },
  ],
  ["POST /identity/v3/projects", { project: { name: "x", description: "d", enabled: true, domain_id: "default" } }],
  ["PATCH /identity/v3/projects/@project@", { project: { name: "y", enabled: true } }],
  [
    "POST /identity/v3/users",
    {
      user: {
        name: "u",
        password: "long enough",
        enabled: true,
        domain_id: "default",
        default_project_id: "@project@",
      },
    },
  ],
  ["POST /identity/v3/roles", { role: { name: "r" } }],
  ["POST /v1/hosts", { name: "h2" }],
  ["POST /v2.0/routers", { router: { name: "r", external_gateway_info: { network_id: "@net@", enable_snat: true } } }],
  ["POST /v2.0/security-groups", { security_group: { name: "s", stateful: true } }],
  [
    "POST /v2.0/security-group-rules",
    {
      security_group_rule: {
        security_group_id: "@port@",
        direction: "ingress",
        protocol: "tcp",
        port_range_min: 1,
        port_range_max: 2,
        remote_ip_prefix: "10.0.0.0/24",
      },
    },
  ],
  ["POST /v2.0/address-groups", { address_group: { name: "a", addresses: ["10.0.0.0/24"] } }],
  ["POST /v2.0/address-scopes", { address_scope: { name: "s", ip_version: 4 } }],
  ["POST /v2.0/subnetpools", { subnetpool: { name: "p", prefixes: ["10.0.0.0/8"], default_prefixlen: 24 } }],
  [
    "POST /v2.0/rbac-policies",
    {
      rbac_policy: {
        object_type: "network",
        object_id: "@net@",
        target_tenant: "@project@",
        action: "access_as_shared",
      },
    },
  ],
  ["POST /v2.0/floatingips", { floatingip: { floating_network_id: "@net@", port_id: "@port@" } }],
  ["POST /v2.0/segments", { segment: { network_id: "@net@", network_type: "vlan", segmentation_id: 5 } }],
  ["POST /v2.0/bgp-peers", { bgp_peer: { peer_ip: "192.0.2.1", remote_as: 65001, auth_type: "md5", password: "p" } }],
  ["POST /v2.0/bgp-speakers", { bgp_speaker: { local_as: 65000, ip_version: 4 } }],
  ["PUT /v2.0/quotas/@project@", { quota: { port: 5, network: -1 } }],
  ["PUT /v2.0/networks/@net@/tags", { tags: ["a", "b"] }],
  ["POST /v1/trace", { from: "@port@", to: "10.0.0.9", protocol: "tcp", destination_port: 80, ttl: 3 }],
  ["PUT /v1/ports/@port@/user-data", { user_data: "dGFrZW4=" }],
];
const full = bodies.flatMap(([line, body]) =>
  [admin, member].map((token) => `${line}\n${token}\n${JSON.stringify(body)}`),
);

const removals = [
  "/v2.0/ports/@port@",
  "/v2.0/networks/@net@",
  "/v2.0/subnets/@subnet@",
  "/v1/hosts/h1",
  "/identity/v3/projects/@project@",
];

/** Requests as lines: the request line, headers, and from the first brace on the body. */
export const requests: readonly string[] = [
  ...plain,
  ...full,
  ...removals.map((path) => `DELETE ${path}\n${admin}`),
  `GET /identity/v3/auth/tokens\n${admin}\nX-Subject-Token: @member@`,
  `DELETE /identity/v3/auth/tokens\n${admin}\nX-Subject-Token: @member@`,
];

/** Words that the API looks for. */
export const vocabulary: readonly string[] = [
  ...[
    "@net@",
    "@subnet@",
    "@port@",
    "@project@",
    "@admin@",
    "@member@",
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "HEAD",
    "OPTIONS",
  ],
  ...[
    "network",
    "networks",
    "subnet",
    "subnets",
    "port",
    "ports",
    "auth",
    "identity",
    "methods",
    "password",
    "token",
    "scope",
    "user",
    "domain",
  ],
  ...[
    "name",
    "id",
    "project_id",
    "tenant_id",
    "network_id",
    "fixed_ips",
    "ip_address",
    "subnet_id",
    "mac_address",
    "binding:host_id",
  ],
  ...[
    "allowed_address_pairs",
    "cidr",
    "ip_version",
    "gateway_ip",
    "allocation_pools",
    "start",
    "end",
    "host_routes",
    "dns_nameservers",
  ],
  ...[
    "enable_dhcp",
    "mtu",
    "shared",
    "description",
    "tags",
    "fields",
    "sort_key",
    "sort_dir",
    "limit",
    "marker",
    "page_reverse",
  ],
  ...[
    "10.0.0.0/24",
    "10.0.0.5",
    "10.0.0.255",
    "fd00:1::/64",
    "fd00:1::5",
    "::/0",
    "0.0.0.0/0",
    "fa:16:3e:00:00:aa",
    "h1",
    "default",
  ],
  ...[
    "?",
    "&",
    "=",
    "%",
    "%00",
    "%ff",
    "%2F",
    "/",
    "//",
    "..",
    ".json",
    "Accept: text/html",
    "Host: [::1]:1",
    "Content-Type: text/plain",
  ],
];
