/** What of the captured Neutron (Zed) this server answers otherwise, and why; everything else must answer the same. */

/** Attributes of extensions that `/v2.0/extensions` does not list: absent in replies, left out of replayed requests. */
export const unlistedAttributes: ReadonlySet<string> = new Set([
  "data_plane_status",
  "device_profile",
  "dns_publish_fixed_ip",
  "numa_affinity_policy",
  "propagate_uplink_status",
  "qos_network_policy_id",
  "qos_policy_id",
  "resource_request",
  "service_types",
  // A number of that program's own database, which rules show within their group alone.
  "standard_attr_id",
  "trunk_details",
  "vlan_transparent",
]);

/** Attributes of such extensions that only some replies show; in requests they are what their captures are about. */
export const unlistedInReplies: ReadonlySet<string> = new Set([
  "distributed",
  "enable_ndp_proxy",
  "gw_port_id",
  "ha",
  "ha_vr_id",
]);

/** Extensions that are listed and were not captured: the Neutron's other driver has them. */
export const beyondCaptured: ReadonlySet<string> = new Set([
  "extraroute-atomic",
  "ip-substring-filtering",
  "port-security-groups-filtering",
  "rbac-address-group",
  "rbac-subnetpool",
  "subnetpool-prefix-ops",
  "availability_zone_filter",
  "l3-ext-ndp-proxy",
  "l3-ndp-proxy",
  "bgp",
  "bgp_4byte_asn",
  "tag-ports-during-bulk-creation",
]);

/** Request attributes that are left out besides: they name what this server has no other kind of. */
export const untranslatable: ReadonlySet<string> = new Set(["binding:vnic_type"]);

const trunks = "trunks are not listed";
const qos = "QoS is not listed";
const agents = "agents of that driver are of another form; hosts are shown as agents of the other, Open vSwitch's";

/** Captures that are not replayed, with the reason. */
export const notApplicable: ReadonlyMap<string, string> = new Map([
  ["subnetpool-add-prefixes", "subnetpool-prefix-ops is listed here, and was not there"],
  ["subnetpool-remove-prefixes", "subnetpool-prefix-ops is listed here, and was not there"],
  ["rbac-qos_policy", qos],
  ["agents", agents],
  ["agent-update", agents],
  ["agent-show", agents],
  [
    "changed-since-bad",
    "changed_since is refused as a filter before its form is looked at, as the capture of a good one shows",
  ],
  ["security-group-rule-update-desc", "a fault of that release's OVN driver: 500"],
  ["port-trunk-parent", trunks],
  ["port-trunk-sub", trunks],
  ["port-trunk-sub2", trunks],
  ["port-trunk-details", trunks],
  ["trunk-parent-port-delete-409", trunks],
  ["qos-min-bw-on-tunnel-port", qos],
  ["port-with-qos", qos],
  ["network-with-qos", qos],
  ["port-qos-network-policy-id", qos],
  ["port-delete-reader", "the port was looked at by what is not replayed; readers are tested by themselves"],
]);

/** Lists that hold something there and nothing here; all others do. */
export const emptyHere: ReadonlyMap<string, string> = new Map([
  [
    "network-segment-ranges",
    "numbers that no range is made for are taken of all that fit a tunnel's header: a range of fifteen million has no list of what is free",
  ],
  ["bgp-advertised-routes", "routes are told of machines on hosts with addresses outside, and here are none"],
  ["bgp-dragents", "hosts speak that have addresses outside, and here are none"],
]);

export interface Decision {
  readonly status: number;
  readonly type?: string;
  /** Other attributes are shown; else what is otherwise is their values alone. */
  readonly form?: "other";
  readonly reason: string;
}

const unplugged = "a floating IP is active while the machine's port is up; there, once its router knows it";
const newDefaults = "from 2023.2 a reader cannot write: the new defaults are what this server has";

/** Captures that are replayed and must answer otherwise. */
export const decided: ReadonlyMap<string, Decision> = new Map<string, Decision>([
  ["network-create-reader", { status: 403, type: "PolicyNotAuthorized", reason: newDefaults }],
  ["network-update-reader", { status: 403, type: "PolicyNotAuthorized", reason: newDefaults }],
  ["port-create-reader", { status: 403, type: "PolicyNotAuthorized", reason: newDefaults }],
  ["security-group-create-reader", { status: 403, type: "PolicyNotAuthorized", reason: newDefaults }],
  ["router-create-reader", { status: 403, type: "PolicyNotAuthorized", reason: newDefaults }],
  [
    "security-group-rule-bad-direction",
    {
      status: 400,
      type: "HTTPBadRequest",
      reason: "a fault of that release's text: it says `valid_values` for the values",
    },
  ],
  [
    "router-interface-port-shape",
    { status: 200, reason: "a router is wherever it is needed: its interfaces are up, whoever made the port" },
  ],
  [
    "subnet-on-shared-net-by-member",
    {
      status: 403,
      type: "PolicyNotAuthorized",
      reason: "a quirk of that release's mixed defaults: who shares a network does not shape it",
    },
  ],
  [
    "rbac-sharee-create-subnet",
    {
      status: 403,
      type: "PolicyNotAuthorized",
      reason: "a quirk of that release's mixed defaults: who shares a network does not shape it",
    },
  ],
  ["rbac-missing-object", { status: 400, type: "InvalidInput", reason: "its text holds names of Neutron's callbacks" }],
  ["quota-check-limit", { status: 400, type: "HTTPBadRequest", reason: "its text says how many ports there are" }],
  ["fields-show", { status: 200, reason: "the name is the one before the reader's update, which is refused here" }],
  [
    "options",
    {
      status: 200,
      form: "other",
      reason: "that release shows a member what only an admin may see when it asks with OPTIONS",
    },
  ],
  ["floatingip-show", { status: 200, reason: unplugged }],
  ["floatingip-disassociate", { status: 200, reason: "that release says a moment later that it is down" }],
  ["floatingip-with-pf", { status: 200, reason: unplugged }],
  ["port-bulk-on-slaac-net", { status: 201, reason: "a fault of that release" }],
  [
    "if-match-right",
    { status: 412, type: "RevisionNumberConstraintFailed", reason: "a fault of that release; the number is not ours" },
  ],
  ["if-match-malformed", { status: 200, reason: "a fault of that release's OVN driver; its other driver answers 200" }],
]);
