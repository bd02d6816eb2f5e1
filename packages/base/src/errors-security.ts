/** Errors of security groups, address groups and port security in the Networking API v2.0: types, statuses and wording as a Neutron (Zed) answers them. */
import { entriesOf } from "./error-entry.ts";

const neutron = entriesOf("neutron");

export const securityErrors = {
  // Ports.
  PortSecurityPortHasSecurityGroup: neutron(
    409,
    "port",
    "Port has security group associated. Cannot disable port security or IP address until security group is removed.",
    "Clear the port's security groups in the same request.",
  ),
  PortSecurityAndIPRequiredForSecurityGroups: neutron(
    400,
    "port",
    "Port security must be enabled and port must have an IP address in order to use security groups.",
    "Enable port security and give the port an address, or name no security group.",
  ),
  AddressPairAndPortSecurityRequired: neutron(
    409,
    "port",
    "Port Security must be enabled in order to have allowed address pairs on a port.",
    "Enable port security, or clear the address pairs.",
  ),
  DuplicateAddressPairInRequest: neutron(
    400,
    "port",
    "Request contains duplicate address pair: mac_address %(mac_address)s ip_address %(ip_address)s.",
    "Name each pair once.",
  ),
  AllowedAddressPairExhausted: neutron(
    400,
    "port",
    "The number of allowed address pair exceeds the maximum %(quota)s.",
    "Give fewer pairs: a pair may be a whole CIDR.",
  ),
  AllowedAddressPairsMissingIP: neutron(
    400,
    "port",
    "AllowedAddressPair must contain ip_address",
    "Give each pair an address or a prefix.",
  ),
  SecurityGroupConflict: neutron(
    409,
    "port",
    "Error %(reason)s while attempting the operation.",
    "Give the port groups that are all stateful, or all stateless.",
  ),

  // Security groups.
  SecurityGroupNotFound: neutron(
    404,
    "securitygroup",
    "Security group %(id)s does not exist",
    "Check the id and that your project can see the security group.",
  ),
  SecurityGroupInUse: neutron(
    409,
    "securitygroup",
    "Security Group %(id)s in use.",
    "Take the group from the ports that have it: openstack port list --security-group GROUP.",
  ),
  SecurityGroupDefaultAlreadyExists: neutron(
    409,
    "securitygroup",
    "Default security group already exists.",
    "Choose another name: each project has its one group of that name.",
  ),
  SecurityGroupCannotUpdateDefault: neutron(
    409,
    "securitygroup",
    "Updating default security group not allowed.",
    "Make a group of your own: the default one keeps its name.",
  ),
  SecurityGroupCannotRemoveDefault: neutron(
    409,
    "securitygroup",
    "Insufficient rights for removing default security group.",
    "Remove its rules instead, or ask an administrator.",
  ),

  // Their rules.
  SecurityGroupRuleNotFound: neutron(
    404,
    "securitygrouprule",
    "Security group rule %(id)s does not exist",
    "Check the id and that your project owns the rule.",
  ),
  SecurityGroupRuleExists: neutron(
    409,
    "securitygrouprule",
    "Security group rule already exists. Rule id is %(rule_id)s.",
    "The rule that is named says the same: nothing is to be done.",
  ),
  DuplicateSecurityGroupRuleInPost: neutron(
    409,
    "securitygrouprule",
    "Duplicate Security Group Rule in POST.",
    "Name each rule once.",
  ),
  SecurityGroupNotSingleGroupRules: neutron(
    400,
    "securitygrouprule",
    "Only allowed to update rules for one security profile at a time",
    "Send one request for each security group.",
  ),
  SecurityGroupRulesNotSingleTenant: neutron(
    400,
    "securitygrouprule",
    "Multiple tenant_ids in bulk security group rule create not allowed.",
    "Send one request for each project.",
  ),
  SecurityGroupProtocolRequiredWithPorts: neutron(
    400,
    "securitygrouprule",
    "Must also specify protocol if port range is given.",
    "Name the protocol.",
  ),
  SecurityGroupInvalidPortRange: neutron(
    400,
    "securitygrouprule",
    "For TCP/UDP protocols, port_range_min must be <= port_range_max",
    "Give both ends of the range, the lower first.",
  ),
  SecurityGroupInvalidPortValue: neutron(
    400,
    "securitygrouprule",
    "Invalid value for port %(port)s",
    "Give a whole number from 1 to 65535.",
  ),
  SecurityGroupInvalidIcmpValue: neutron(
    400,
    "securitygrouprule",
    "Invalid value for ICMP %(field)s (%(attr)s) %(value)s. It must be 0 to 255.",
    "ICMP types and codes are numbers of one byte.",
  ),
  SecurityGroupMissingIcmpType: neutron(
    400,
    "securitygrouprule",
    "ICMP code (port-range-max) %(value)s is provided but ICMP type (port-range-min) is missing.",
    "Name the ICMP type, too.",
  ),
  SecurityGroupInvalidProtocolForPort: neutron(
    400,
    "securitygrouprule",
    "Invalid protocol %(protocol)s for port range, only supported for %(valid_port_protocols)s.",
    "Leave the range out: the rule is then about every port of the protocol.",
  ),
  SecurityGroupRuleInvalidProtocol: neutron(
    400,
    "securitygrouprule",
    "Security group rule protocol %(protocol)s not supported. Only protocol values %(values)s and integer representations [0 to 255] are supported.",
    "Use one of these names, or the protocol's number.",
  ),
  SecurityGroupEthertypeConflictWithProtocol: neutron(
    400,
    "securitygrouprule",
    "Invalid ethertype %(ethertype)s for protocol %(protocol)s.",
    "Protocols of IPv6 go with the ethertype IPv6.",
  ),
  SecurityGroupRuleParameterConflict: neutron(
    400,
    "securitygrouprule",
    "Conflicting value ethertype %(ethertype)s for CIDR %(cidr)s",
    "Give the ethertype of the prefix.",
  ),
  SecurityGroupMultipleRemoteEntites: neutron(
    400,
    "securitygrouprule",
    "Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.",
    "Make one rule for each.",
  ),
  InvalidCIDR: neutron(
    400,
    "securitygrouprule",
    "Invalid CIDR %(input)s given as IP prefix.",
    "Give an address, or an address and a prefix length.",
  ),

  // Address groups.
  AddressGroupNotFound: neutron(
    404,
    "addressgroup",
    "Address group %(address_group_id)s could not be found.",
    "Check the id and that your project can see the address group.",
  ),
  AddressGroupInUse: neutron(
    409,
    "addressgroup",
    "Address group %(address_group_id)s is in use on one or more security group rules.",
    "Delete the rules that name the group first.",
  ),
  AddressesNotFound: neutron(
    404,
    "addressgroup",
    "Addresses %(addresses)s not found in the address group %(address_group_id)s.",
    "Look at the group's addresses: openstack address group show GROUP.",
  ),
  AddressesAlreadyExist: neutron(
    400,
    "addressgroup",
    "Addresses %(addresses)s already exist in the address group %(address_group_id)s.",
    "Leave these addresses out.",
  ),
} as const;
