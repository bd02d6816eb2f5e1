/** The Networking extensions that this server really has, and only those: clients and test suites go by this list. */

import { taggedKinds } from "./tags.ts";

export interface Extension {
  readonly name: string;
  readonly alias: string;
  readonly description: string;
  readonly updated: string;
  readonly links: readonly never[];
}

const extension = (alias: string, name: string, description: string, updated: string): Extension =>
  Object.freeze({ name, alias, description, updated, links: [] });

export const extensions: readonly Extension[] = Object.freeze([
  extension("address-scope", "Address scope", "Address scopes extension.", "2015-07-26T10:00:00-00:00"),
  extension(
    "bgp",
    "Neutron BGP Dynamic Routing Extension",
    "Discover and advertise routes for Neutron prefixes dynamically via BGP",
    "2016-05-10T15:37:00-00:00",
  ),
  extension("bgp_4byte_asn", "BGP 4-byte AS numbers", "Support bgp 4-byte AS numbers", "2017-09-07T00:00:00-00:00"),
  extension(
    "binding",
    "Port Binding",
    "Expose port bindings of a virtual port to external application",
    "2014-02-03T10:00:00-00:00",
  ),
  extension(
    "default-subnetpools",
    "Default Subnetpools",
    "Provides ability to mark and use a subnetpool as the default.",
    "2016-02-18T18:00:00-00:00",
  ),
  extension("dns-integration", "DNS Integration", "Provides integration with DNS.", "2015-08-15T18:00:00-00:00"),
  extension(
    "dns-domain-ports",
    "dns_domain for ports",
    "Allows the DNS domain to be specified for a network port.",
    "2017-04-24T10:00:00-00:00",
  ),
  extension(
    "filter-validation",
    "Filter parameters validation",
    "Provides validation on filter parameters.",
    "2018-07-04T10:00:00-00:00",
  ),
  extension(
    "ip-substring-filtering",
    "IP address substring filtering",
    "Provides IP address substring filtering when listing ports",
    "2017-11-28T09:00:00-00:00",
  ),
  extension("net-mtu", "Network MTU", "Provides MTU attribute for a network resource.", "2015-03-25T10:00:00-00:00"),
  extension(
    "net-mtu-writable",
    "Network MTU (writable)",
    "Provides a writable MTU attribute for a network resource.",
    "2017-07-12T00:00:00-00:00",
  ),
  extension(
    "pagination",
    "Pagination support",
    "Extension that indicates that pagination is enabled.",
    "2016-06-12T00:00:00-00:00",
  ),
  extension("port-security", "Port Security", "Provides port security", "2012-07-23T10:00:00-00:00"),
  extension(
    "project-id",
    "project_id field enabled",
    "Extension that indicates that project_id field is enabled.",
    "2016-09-09T09:09:09-09:09",
  ),
  extension(
    "provider",
    "Provider Network",
    "Expose mapping of virtual networks to physical networks",
    "2012-09-07T10:00:00-00:00",
  ),
  extension(
    "rbac-address-scope",
    "Add address_scope type to RBAC",
    "Add address_scope type to RBAC",
    "2020-02-12T00:00:00-00:00",
  ),
  extension(
    "rbac-policies",
    "RBAC Policies",
    "Allows creation and modification of policies that control tenant access to resources.",
    "2015-06-17T12:15:12-00:00",
  ),
  extension(
    "rbac-subnetpool",
    "Add subnetpool type to RBAC",
    "Add subnetpool type to RBAC",
    "2020-02-05T00:00:00-00:00",
  ),
  extension(
    "revision-if-match",
    "If-Match constraints based on revision_number",
    "Extension indicating that If-Match based on revision_number is supported.",
    "2016-12-11T00:00:00-00:00",
  ),
  extension(
    "sorting",
    "Sorting support",
    "Extension that indicates that sorting is enabled.",
    "2016-06-12T00:00:00-00:00",
  ),
  extension(
    "standard-attr-description",
    "standard-attr-description",
    "Extension to add descriptions to standard attributes",
    "2016-02-10T10:00:00-00:00",
  ),
  extension(
    "standard-attr-revisions",
    "Resource revision numbers",
    "This extension will display the revision number of neutron resources.",
    "2016-04-11T10:00:00-00:00",
  ),
  extension(
    "standard-attr-timestamp",
    "Resource timestamps",
    "Adds created_at and updated_at fields to all Neutron resources that have Neutron standard attributes.",
    "2016-09-12T10:00:00-00:00",
  ),
  extension(
    "subnet_allocation",
    "Subnet Allocation",
    "Enables allocation of subnets from a subnet pool",
    "2015-03-30T10:00:00-00:00",
  ),
  extension(
    "subnetpool-prefix-ops",
    "Subnet Pool Prefix Operations",
    "Provides support for adjusting the prefix list of subnet pools",
    "2019-02-08T10:00:00-00:00",
  ),
  extension("agent", "agent", "The agent management extension.", "2013-02-03T10:00:00-00:00"),
  extension("availability_zone", "Availability Zone", "The availability zone extension.", "2015-01-01T10:00:00-00:00"),
  extension(
    "availability_zone_filter",
    "Availability Zone Filter Extension",
    "Add filter parameters to AvailabilityZone resource",
    "2018-06-22T10:00:00-00:00",
  ),
  extension(
    "network_availability_zone",
    "Network Availability Zone",
    "Availability zone support for network.",
    "2015-01-01T10:00:00-00:00",
  ),
  extension(
    "router_availability_zone",
    "Router Availability Zone",
    "Availability zone support for router.",
    "2015-01-01T10:00:00-00:00",
  ),
  extension(
    "network-ip-availability",
    "Network IP Availability",
    "Provides IP availability data for each network and subnet.",
    "2015-09-24T00:00:00-00:00",
  ),
  extension(
    "quotas",
    "Quota management support",
    "Expose functions for quotas management per project",
    "2012-07-29T10:00:00-00:00",
  ),
  extension(
    "quota_details",
    "Quota details management support",
    "Expose functions for quotas usage statistics per project",
    "2017-02-10T10:00:00-00:00",
  ),
  extension(
    "quota-check-limit",
    "Quota engine limit check",
    "Support for checking the resource usage before applying a new quota limit",
    "2021-09-08T16:00:00-00:00",
  ),
  extension(
    "service-type",
    "Neutron Service Type Management",
    "API for retrieving service providers for Neutron advanced services",
    "2013-01-20T00:00:00-00:00",
  ),
  extension("security-group", "security-group", "The security groups extension.", "2012-10-05T10:00:00-00:00"),
  extension(
    "stateful-security-group",
    "Stateful security group",
    "Indicates if the security group is stateful or not",
    "2019-11-26T09:00:00-00:00",
  ),
  extension(
    "security-groups-normalized-cidr",
    "Normalized CIDR field for security group rules",
    "Add new field with normalized remote_ip_prefix cidr in SG rule",
    "2020-07-28T10:00:00-00:00",
  ),
  extension(
    "security-groups-remote-address-group",
    "Remote address group id field for security group rules",
    "Add new field of remote address group id in SG rules",
    "2020-08-25T10:00:00-00:00",
  ),
  extension(
    "security-groups-shared-filtering",
    "Security group filtering on the shared field",
    "Support filtering security groups on the shared field",
    "2021-10-05T09:00:00-00:00",
  ),
  extension("address-group", "Address group", "Support address group", "2020-07-15T10:00:00-00:00"),
  extension(
    "allowed-address-pairs",
    "Allowed Address Pairs",
    "Provides allowed address pairs",
    "2013-07-23T10:00:00-00:00",
  ),
  extension(
    "rbac-security-groups",
    "Add security_group type to network RBAC",
    "Add security_group type to network RBAC",
    "2019-02-14T00:00:00-00:00",
  ),
  extension(
    "rbac-address-group",
    "Add address_group type to RBAC",
    "Add address_group type to RBAC",
    "2021-01-20T00:00:00-00:00",
  ),
  extension(
    "port-security-groups-filtering",
    "Port filtering on security groups",
    "Provides security groups filtering when listing ports",
    "2018-01-09T09:00:00-00:00",
  ),
  extension(
    "router",
    "Neutron L3 Router",
    "Router abstraction for basic L3 forwarding between L2 Neutron networks and access to external networks via a NAT gateway.",
    "2012-07-20T10:00:00-00:00",
  ),
  extension(
    "extraroute",
    "Neutron Extra Route",
    "Extra routes configuration for L3 router",
    "2013-02-01T10:00:00-00:00",
  ),
  extension(
    "extraroute-atomic",
    "Atomically add/remove extra routes",
    "Edit extra routes of a router on server side by atomically adding/removing extra routes",
    "2019-07-10T00:00:00+00:00",
  ),
  extension(
    "tag-ports-during-bulk-creation",
    "Tag Ports During Bulk Creation",
    "Allow to tag ports during bulk creation",
    "2019-12-29T19:00:00-00:00",
  ),
  extension(
    "standard-attr-tag",
    `Tag support for resources with standard attribute: ${taggedKinds.join(", ")}`,
    "Enables to set tag on resources with standard attribute.",
    "2017-01-01T00:00:00-00:00",
  ),
]);
