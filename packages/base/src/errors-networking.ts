/** Errors of the Networking API v2.0: types, statuses and wording as a Neutron (Zed) answers them. */
import { entriesOf } from "./error-entry.ts";

const neutron = entriesOf("neutron");
const bad = "HTTPBadRequest";
const malformed =
  "The server could not comply with the request since it is either malformed or otherwise incorrect." as const;

export const networkingErrors = {
  // The request itself. Order of the checks: body, key, unknown, not allowed, read-only, missing, value.
  HTTPBadRequest: neutron(400, "request", "%(message)s", "Correct the request as the message says."),
  BodyInvalid: neutron(400, "request", "Body contains invalid data", "Send a JSON object.", bad),
  BodyKeyMissing: neutron(
    400,
    "request",
    "Unable to find '%(resource)s' in request body",
    "Wrap the attributes in an object under the resource's name.",
    bad,
  ),
  ResourcesRequired: neutron(400, "request", "Resources required", "A bulk request needs at least one element.", bad),
  AttributesUnrecognized: neutron(
    400,
    "request",
    "Unrecognized attribute(s) '%(attributes)s'",
    "Leave these attributes out, or check their spelling against the API reference.",
    bad,
  ),
  AttributeNotAllowedInPost: neutron(
    400,
    "request",
    "Attribute '%(attribute)s' not allowed in POST",
    "The server sets this attribute: leave it out.",
    bad,
  ),
  AttributeReadOnly: neutron(
    400,
    "request",
    "Cannot update read-only attribute %(attribute)s",
    "This attribute is fixed at creation: make a new object to change it.",
    bad,
  ),
  AttributeRequired: neutron(
    400,
    "request",
    "Failed to parse request. Required attribute '%(attribute)s' not specified",
    "Give the attribute a value.",
    bad,
  ),
  AttributeInvalid: neutron(
    400,
    "request",
    "Invalid input for %(attribute)s. Reason: %(reason)s.",
    "Give a value of the documented form.",
    bad,
  ),
  ProjectOfOther: neutron(
    400,
    "request",
    "Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires admin or advsvc privileges",
    "Leave project_id out, or ask as an administrator.",
    bad,
  ),
  FilterInvalid: neutron(
    400,
    "request",
    "%(attributes)s is invalid attribute for filtering",
    "Filter by an attribute that the API reference marks as a filter.",
    bad,
  ),
  SortKeysUneven: neutron(
    400,
    "request",
    "The number of sort_keys and sort_dirs must be same",
    "Give one sort_dir for each sort_key.",
    bad,
  ),
  SortKeyInvalid: neutron(
    400,
    "request",
    "%(attributes)s is invalid attribute for sort_keys",
    "Sort by an attribute that the API reference marks as a sort key.",
    bad,
  ),
  SortDirInvalid: neutron(
    400,
    "request",
    "%(values)s is invalid value for sort_dirs, valid value is 'asc' and 'desc'",
    "Use asc or desc.",
    bad,
  ),
  InvalidInput: neutron(
    400,
    "request",
    "Invalid input for operation: %(error_message)s.",
    "Correct the value that the message names.",
  ),
  BadRequest: neutron(400, "request", "Bad %(resource)s request: %(msg)s.", "Correct the request as the message says."),
  HTTPNotFound: neutron(404, "request", "The resource could not be found.", "Check the path of the request."),
  HTTPMethodNotAllowed: neutron(405, "request", malformed, "Use a method that this path answers."),
  HTTPNotAcceptable: neutron(406, "request", malformed, "Accept application/json."),
  HTTPInternalServerError: neutron(
    500,
    "request",
    "Request Failed: internal server error while processing your request.",
    "Report it with the request id: the server's log holds the cause under the same id.",
  ),
  PolicyNotAuthorized: neutron(
    403,
    "request",
    "%(rule)s is disallowed by policy",
    "Ask as the owner of the object, or as an administrator.",
  ),
  RevisionNumberConstraintFailed: neutron(
    412,
    "request",
    "Constrained to %(constraint)s, but current revision is %(current)s",
    "Read the object again, look at what changed, and repeat with the current revision.",
  ),
  TagNotFound: neutron(404, "tag", "Tag %(tag)s could not be found.", "List the tags of the resource."),
  TagResourceNotFound: neutron(
    404,
    "tag",
    "Resource %(resource)s %(resource_id)s could not be found.",
    "Check the id of the tagged resource and that your project can see it.",
  ),

  // Quotas.
  OverQuota: neutron(
    409,
    "quota",
    "Quota exceeded for resources: %(overs)s.",
    "Delete what is not needed, or ask an administrator for a higher quota.",
  ),
  QuotaBelowUsage: neutron(
    400,
    "quota",
    "Quota limit %(limit)s for %(resource)s must be greater than or equal to already used %(used)s",
    "Choose a limit that covers what is in use, or leave check_limit out.",
    bad,
  ),
  TenantQuotaNotFound: neutron(
    404,
    "quota",
    "Quota for tenant %(tenant_id)s could not be found.",
    "The project has no quota of its own: the defaults apply.",
  ),

  // Hosts.
  AgentNotFound: neutron(404, "agent", "Agent %(id)s could not be found.", "List the agents, as an administrator."),
  AvailabilityZoneNotFound: neutron(
    404,
    "zone",
    "AvailabilityZone %(availability_zone)s could not be found.",
    "List the availability zones, and name one of them.",
  ),

  // Networks.
  NetworkNotFound: neutron(
    404,
    "network",
    "Network %(id)s could not be found.",
    "Check the id and that your project can see the network.",
  ),
  NetworkInUse: neutron(
    409,
    "network",
    "Unable to complete operation on network %(net_id)s. There are one or more ports still in use on the network, id for these ports is: %(ports)s.",
    "Delete the ports first.",
  ),
  NoNetworkAvailable: neutron(
    503,
    "network",
    "Unable to create the network. No tenant network is available for allocation.",
    "All tunnel keys are in use: delete unused networks or widen the range.",
  ),
  TunnelIdInUse: neutron(
    409,
    "network",
    "Unable to create the network. The tunnel ID %(tunnel_id)s is in use.",
    "Choose another segmentation id, or leave it to the server.",
  ),
  VlanIdInUse: neutron(
    409,
    "network",
    "Unable to create the network. The VLAN %(vlan_id)s on physical network %(physical_network)s is in use.",
    "Choose another VLAN id, or leave it to the server.",
  ),

  // Subnets.
  SubnetNotFound: neutron(
    404,
    "subnet",
    "Subnet %(id)s could not be found.",
    "Check the id and that your project can see the subnet.",
  ),
  SubnetInUse: neutron(
    409,
    "subnet",
    "Unable to complete operation on subnet %(subnet_id)s: %(reason)s",
    "Release the addresses of the subnet first.",
  ),
  InvalidAllocationPool: neutron(
    400,
    "subnet",
    "The allocation pool %(pool)s is not valid.",
    "Give a start and an end of the subnet's IP version, start not above end.",
  ),
  OutOfBoundsAllocationPool: neutron(
    400,
    "subnet",
    "The allocation pool %(pool)s spans beyond the subnet cidr %(subnet_cidr)s.",
    "Keep the pool inside the subnet's host addresses.",
  ),
  OverlappingAllocationPools: neutron(
    409,
    "subnet",
    "Found overlapping allocation pools: %(pool_1)s %(pool_2)s for subnet %(subnet_cidr)s.",
    "Make the pools disjoint.",
  ),
  GatewayConflictWithAllocationPools: neutron(
    409,
    "subnet",
    "Gateway ip %(ip_address)s conflicts with allocation pool %(pool)s.",
    "Move the gateway out of the pool, or the pool off the gateway.",
  ),
  GatewayIpInUse: neutron(
    409,
    "subnet",
    "Current gateway ip %(ip_address)s already in use by port %(port_id)s. Unable to update.",
    "Remove the router interface that holds the gateway address first.",
  ),
  DNSNameServersExhausted: neutron(
    400,
    "subnet",
    "Unable to complete operation for %(subnet_id)s. The number of DNS nameservers exceeds the limit %(quota)s.",
    "Give fewer name servers.",
  ),
  HostRoutesExhausted: neutron(
    400,
    "subnet",
    "Unable to complete operation for %(subnet_id)s. The number of host routes exceeds the limit %(quota)s.",
    "Give fewer host routes.",
  ),

  // Ports and their addresses.
  PortNotFound: neutron(
    404,
    "port",
    "Port %(id)s could not be found.",
    "Check the id and that your project can see the port.",
  ),
  PortInUse: neutron(
    409,
    "port",
    "Unable to complete operation on port %(port_id)s for network %(net_id)s. Port already has an attached device %(device_id)s.",
    "Detach the device first.",
  ),
  ServicePortInUse: neutron(
    409,
    "port",
    "Port %(port_id)s cannot be deleted directly via the port API: %(reason)s.",
    "Remove it through the object that owns it.",
  ),
  PortBindingError: neutron(
    500,
    "port",
    "Binding for port %(port_id)s on host %(host)s could not be created or updated.",
    "Check that the host is joined and alive.",
  ),
  MacAddressInUse: neutron(
    409,
    "port",
    "Unable to complete operation for network %(net_id)s. The mac address %(mac)s is in use.",
    "Choose another MAC address, or leave it to the server.",
  ),
  MacAddressGenerationFailure: neutron(
    503,
    "port",
    "Unable to generate unique mac on network %(net_id)s.",
    "The base MAC prefix is exhausted: configure another one.",
  ),
  IpAddressAlreadyAllocated: neutron(
    409,
    "port",
    "IP address %(ip)s already allocated in subnet %(subnet_id)s",
    "Choose another address, or leave it to the server.",
  ),
  IpAddressInUse: neutron(
    409,
    "port",
    "Unable to complete operation for network %(net_id)s. The IP address %(ip_address)s is in use.",
    "Choose another address, or leave it to the server.",
  ),
  IpAddressGenerationFailure: neutron(
    409,
    "port",
    "No more IP addresses available on network %(net_id)s.",
    "Add a subnet, widen the allocation pools, or delete unused ports.",
  ),
  IpAddressGenerationFailureForSubnet: neutron(
    409,
    "port",
    "No more IP addresses available for subnet %(subnet_id)s.",
    "Choose another subnet, widen its allocation pools, or delete unused ports.",
  ),
  InvalidIpForNetwork: neutron(
    400,
    "port",
    "IP address %(ip_address)s is not a valid IP for any of the subnets on the specified network.",
    "Choose an address inside one of the network's subnets.",
  ),
  InvalidIpForSubnet: neutron(
    400,
    "port",
    "IP address %(ip_address)s is not a valid IP for the specified subnet.",
    "Choose a host address inside the subnet.",
  ),

  // Routers, their interfaces and routes.
  RouterNotFound: neutron(
    404,
    "router",
    "Router %(router_id)s could not be found",
    "Check the id and that your project owns the router.",
  ),
  RouterInUse: neutron(409, "router", "Router %(router_id)s %(reason)s", "Remove the router's interfaces first."),
  BadRouterRequest: neutron(
    400,
    "router",
    "Bad router request: %(msg)s.",
    "Correct the request as the message says.",
    "BadRequest",
  ),
  InvalidRoutes: neutron(
    400,
    "router",
    "Invalid format for routes: %(routes)s, %(reason)s",
    "A next hop is an address of a subnet that the router has an interface on, and not the router's own.",
  ),
  RoutesExhausted: neutron(
    400,
    "router",
    "Unable to complete operation for %(router_id)s. The number of routes exceeds the maximum %(quota)s.",
    "Give fewer routes: one prefix may stand for many.",
  ),
  RouterInterfaceNotFound: neutron(
    404,
    "router",
    "Router %(router_id)s does not have an interface with id %(port_id)s",
    "Look at the router's ports: openstack port list --router ROUTER.",
  ),
  RouterInterfaceNotFoundForSubnet: neutron(
    404,
    "router",
    "Router %(router_id)s has no interface on subnet %(subnet_id)s",
    "Look at the router's ports: openstack port list --router ROUTER.",
  ),
  SubnetMismatchForPort: neutron(
    409,
    "router",
    "Subnet on port %(port_id)s does not match the requested subnet %(subnet_id)s",
    "Name the port or the subnet, not both.",
  ),
  RouterInterfaceInUseByRoute: neutron(
    409,
    "router",
    "Router interface for subnet %(subnet_id)s on router %(router_id)s cannot be deleted, as it is required by one or more routes.",
    "Remove the routes whose next hops are on the subnet first.",
  ),
} as const;
