/** Errors of subnet pools, address scopes and sharing in the Networking API v2.0: types, statuses and wording as a Neutron (Zed) answers them. */
import { entriesOf } from "./error-entry.ts";

const neutron = entriesOf("neutron");

export const addressingErrors = {
  // Subnets' addresses.
  AllocationOnAutoAddressSubnet: neutron(
    400,
    "port",
    "IPv6 address %(ip)s can not be directly assigned to a port on subnet %(subnet_id)s as the subnet is configured for automatic addresses.",
    "Leave the address out: the port gets the one that its MAC address makes.",
  ),
  NetworkSubnetPoolAffinityError: neutron(
    400,
    "subnet",
    "Subnets hosted on the same network must be allocated from the same subnet pool.",
    "Take the subnet from the pool of the network's other subnets of this family.",
  ),
  NetworkAddressScopeAffinityError: neutron(
    400,
    "subnet",
    "Subnets of the same address family hosted on the same network must all be in the same address scope.",
    "Take the subnet from a pool of the network's address scope.",
  ),

  // Subnet pools.
  SubnetPoolNotFound: neutron(
    404,
    "subnetpool",
    "Subnet pool %(subnetpool_id)s could not be found.",
    "Check the id and that your project can see the subnet pool.",
  ),
  SubnetPoolDeleteError: neutron(
    400,
    "subnetpool",
    "Unable to delete subnet pool: %(reason)s.",
    "Delete the subnets that were taken from the pool first.",
  ),
  SubnetPoolQuotaExceeded: neutron(
    409,
    "subnetpool",
    "Per-tenant subnet pool prefix quota exceeded.",
    "Ask for a smaller subnet, or delete one that is not needed.",
  ),
  SubnetAllocationError: neutron(
    500,
    "subnetpool",
    "Failed to allocate subnet: %(reason)s.",
    "Ask for a block that the pool has free: another prefix, or a smaller one.",
  ),
  MinPrefixSubnetAllocationError: neutron(
    400,
    "subnetpool",
    "Unable to allocate subnet with prefix length %(prefixlen)s, minimum allowed prefix is %(min_prefixlen)s.",
    "Ask for a smaller subnet.",
  ),
  MaxPrefixSubnetAllocationError: neutron(
    400,
    "subnetpool",
    "Unable to allocate subnet with prefix length %(prefixlen)s, maximum allowed prefix is %(max_prefixlen)s.",
    "Ask for a larger subnet.",
  ),
  EmptySubnetPoolPrefixList: neutron(400, "subnetpool", "Empty subnet pool prefix list.", "Give the pool a prefix."),
  PrefixVersionMismatch: neutron(
    400,
    "subnetpool",
    "Cannot mix IPv4 and IPv6 prefixes in a subnet pool.",
    "Make one pool for each family.",
  ),
  IllegalSubnetPoolPrefixBounds: neutron(
    400,
    "subnetpool",
    "Illegal prefix bounds: %(prefix_type)s=%(prefixlen)s, %(base_prefix_type)s=%(base_prefixlen)s.",
    "Keep the least at or below the default, the default at or below the greatest, and that within an address.",
  ),
  IllegalSubnetPoolPrefixUpdate: neutron(
    400,
    "subnetpool",
    "Illegal update to prefixes: %(msg)s.",
    "Keep the prefixes that the pool has; remove_prefixes takes away what no subnet has.",
  ),
  IllegalSubnetPoolUpdate: neutron(
    400,
    "subnetpool",
    "Illegal subnetpool update : %(reason)s.",
    "Ask as the owner of the address scope, or as an administrator.",
  ),
  IllegalSubnetPoolAssociationToAddressScope: neutron(
    400,
    "subnetpool",
    "Illegal subnetpool association: subnetpool %(subnetpool_id)s cannot be associated with address scope %(address_scope_id)s.",
    "Name an address scope of your project, or one that is shared with it.",
  ),
  IllegalSubnetPoolIpVersionAssociation: neutron(
    400,
    "subnetpool",
    "Illegal subnetpool association: subnetpool %(subnetpool_id)s cannot be associated with address scope %(address_scope_id)s because subnetpool ip_version is not %(ip_version)s.",
    "Name an address scope of the pool's family.",
  ),

  // Address scopes.
  AddressScopeNotFound: neutron(
    404,
    "addressscope",
    "Address scope %(address_scope_id)s could not be found.",
    "Check the id and that your project can see the address scope.",
  ),
  AddressScopeInUse: neutron(
    409,
    "addressscope",
    "Unable to complete operation on address scope %(address_scope_id)s. There are one or more subnet pools in use on the address scope.",
    "Delete the scope's subnet pools, or move them to another, first.",
  ),
  AddressScopeUpdateError: neutron(
    400,
    "addressscope",
    "Unable to update address scope %(address_scope_id)s : %(reason)s.",
    "Delete its RBAC policies instead, when nobody needs them.",
  ),
  AddressScopePrefixConflict: neutron(
    409,
    "addressscope",
    "Failed to associate address scope: subnetpools within an address scope must have unique prefixes.",
    "Give the pool prefixes that no other pool of the scope has.",
  ),

  // RBAC policies.
  RbacPolicyNotFound: neutron(
    404,
    "rbacpolicy",
    "RBAC policy of type %(object_type)s with ID %(policy_id)s not found.",
    "Check the id and that the policy is your project's.",
  ),
  RbacPolicyInUse: neutron(
    409,
    "rbacpolicy",
    "RBAC policy on object %(object_id)s cannot be removed because other objects depend on it.\nDetails: %(details)s",
    "Delete what the other project made with the object first.",
  ),
  DuplicateRbacPolicy: neutron(
    409,
    "rbacpolicy",
    "An RBAC policy already exists with those values.",
    "Nothing is to be done: the object is shared already.",
  ),
  InvalidActionForType: neutron(
    400,
    "rbacpolicy",
    "Invalid action '%(action)s' for object type '%(object_type)s'. Valid actions: %(valid_actions)s",
    "Use one of the actions that the message names.",
  ),
} as const;
