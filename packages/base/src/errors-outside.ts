/** Errors of what leads outside: provider and external networks, gateways, floating IPs and what speaks for addresses; as a Neutron (Zed) answers them. */
import { entriesOf } from "./error-entry.ts";

const neutron = entriesOf("neutron");

export const outsideErrors = {
  // Networks that stand on physical ones, and external ones.
  FlatNetworkInUse: neutron(
    409,
    "network",
    "Unable to create the flat network. Physical network %(physical_network)s is in use.",
    "A physical network carries one flat network: choose another, or a VLAN.",
  ),
  DefaultExternalNetworkExists: neutron(
    409,
    "network",
    "A default external network already exists: %(net_id)s.",
    "Unset is_default of the other network first.",
  ),
  HTTPForbidden: neutron(403, "request", "%(message)s", "Ask as the owner of the network, or as an administrator."),
  InvalidSharedSetting: neutron(
    409,
    "network",
    "Unable to reconfigure sharing settings for network %(network)s. Multiple tenants are using it.",
    "Have the other projects' ports removed first.",
  ),
  ExternalNetworkInUse: neutron(
    409,
    "network",
    "External network %(net_id)s cannot be updated to be made non-external, since it has existing gateway ports.",
    "Clear the gateways of the routers that use the network.",
  ),
  NetworkSegmentRangeNotFound: neutron(
    404,
    "network",
    "Network Segment Range %(range_id)s could not be found.",
    "List the ranges, as an administrator.",
  ),
  NetworkSegmentRangeOverlaps: neutron(
    409,
    "network",
    "Network segment range overlaps with range(s) with id %(range_id)s.",
    "Make the ranges of one kind disjoint.",
  ),
  NetworkSegmentRangeReferencedByProject: neutron(
    409,
    "network",
    "Network Segment Range %(range_id)s is referenced by one or more projects.",
    "Delete the networks that have numbers of the range first.",
  ),
  AutoAllocationFailure: neutron(
    409,
    "network",
    "Deployment error: %(reason)s.",
    "Have an administrator mark an external network and a subnet pool as the default.",
  ),

  // Gateways of routers.
  RouterExternalGatewayInUseByFloatingIp: neutron(
    409,
    "router",
    "Gateway cannot be updated for router %(router_id)s, since a gateway to external network %(net_id)s is required by one or more floating IPs.",
    "Disassociate the floating IPs that go through the router first.",
  ),
  RouterExternalGatewayInUseByRoute: neutron(
    409,
    "router",
    "Gateway of router %(router_id)s cannot be updated, as it is required by a route with the next hop %(nexthop)s.",
    "Remove the routes whose next hops are on the external network first.",
  ),
  RouterInterfaceInUseByFloatingIP: neutron(
    409,
    "router",
    "Router interface for subnet %(subnet_id)s on router %(router_id)s cannot be deleted, as it is required by one or more floating IPs.",
    "Disassociate the floating IPs of the subnet's ports first.",
  ),
  RouterGatewayNotValid: neutron(
    409,
    "router",
    "Can not enable ndp proxy on router %(router_id)s, %(reason)s.",
    "Give the router a gateway with an IPv6 address of an address scope.",
  ),

  // Floating IPs, forwarded ports and addresses that are spoken for.
  FloatingIPNotFound: neutron(
    404,
    "floatingip",
    "Floating IP %(floatingip_id)s could not be found",
    "Check the id and that your project owns the floating IP.",
  ),
  FloatingIPPortAlreadyAssociated: neutron(
    409,
    "floatingip",
    "Cannot associate floating IP %(floating_ip_address)s (%(fip_id)s) with port %(port_id)s using fixed IP %(fixed_ip)s, as that fixed IP already has a floating IP on external network %(net_id)s.",
    "Disassociate the other floating IP first.",
  ),
  ExternalGatewayForFloatingIPNotFound: neutron(
    404,
    "floatingip",
    "External network %(external_network_id)s is not reachable from subnet %(subnet_id)s.  Therefore, cannot associate Port %(port_id)s with a Floating IP.",
    "Join the subnet to a router that has a gateway on the external network.",
  ),
  ExternalIpAddressExhausted: neutron(
    400,
    "floatingip",
    "Unable to find any IP address on external network %(net_id)s.",
    "A floating IP is an IPv4 address: name a subnet of IPv4, or none.",
  ),
  FipInUseByPortForwarding: neutron(
    409,
    "floatingip",
    "Floating IP %(id)s in use by Port Forwarding resources.",
    "Delete the port forwardings of the floating IP first.",
  ),
  PortHasBindingFloatingIP: neutron(
    409,
    "floatingip",
    "Cannot create port forwarding to floating IP %(floating_ip_address)s (%(fip_id)s) with port %(port_id)s using fixed IP %(fixed_ip)s, as that port already has a binding floating IP.",
    "Disassociate the port's floating IP first.",
  ),
  PortHasPortForwarding: neutron(
    409,
    "floatingip",
    "Cannot associate floating IP %(floating_ip_address)s (%(fip_id)s) with port %(port_id)s using fixed IP %(fixed_ip)s, as that port already has a Port Forwarding.",
    "Delete the port forwardings to the port first.",
  ),
  PortForwardingNotFound: neutron(
    404,
    "floatingip",
    "Port Forwarding %(id)s could not be found.",
    "List the port forwardings of the floating IP.",
  ),
  NDPProxyNotFound: neutron(
    404,
    "router",
    "NDP proxy %(id)s could not be found.",
    "Check the id and that your project owns the NDP proxy.",
  ),
  RouterNDPProxyNotEnable: neutron(
    409,
    "router",
    "The enable_ndp_proxy parameter of router %(router_id)s must be set as True while create ndp proxy entry on it.",
    "Set enable_ndp_proxy of the router.",
  ),
  PortUnreachableRouter: neutron(
    409,
    "router",
    "The port %(port_id)s cannot reach the router %(router_id)s by IPv6 subnet.",
    "Name a port with an IPv6 address of a subnet that the router has an interface on.",
  ),
  InvalidAddress: neutron(
    400,
    "router",
    "The address %(address)s is not invaild, reason: %(reason)s.",
    "Name an IPv6 address that the port has, of the external network's address scope.",
  ),
  AddressScopeConflict: neutron(
    409,
    "router",
    "The IPv6 address scope %(ext_address_scope)s of external network conflict with internal network's IPv6 address scope %(internal_address_scope)s.",
    "Take both subnets from pools of one address scope.",
  ),
  RouterIPv6GatewayInUse: neutron(
    409,
    "router",
    "Can't remove the IPv6 gateway of the router %(router_id)s, as it is required by one or more ndp proxies.",
    "Delete the router's NDP proxies first.",
  ),
  RouterInterfaceInUseByNDPProxy: neutron(
    409,
    "router",
    "Unable to remove subnet %(subnet_id)s from router %(router_id)s, there are one or more ndp proxies still in use on the subnet.",
    "Delete the NDP proxies of the subnet's ports first.",
  ),
  RouterNDPProxyInUse: neutron(
    409,
    "router",
    "The router %(router_id)s has one or more ndp proxies: enable_ndp_proxy stays.",
    "Delete the router's NDP proxies first.",
  ),

  // What is announced by BGP.
  BgpSpeakerNotFound: neutron(
    404,
    "speaker",
    "BGP speaker %(id)s could not be found.",
    "Check the id: openstack bgp speaker list.",
  ),
  BgpPeerNotFound: neutron(
    404,
    "peer",
    "BGP peer %(id)s could not be found.",
    "Check the id: openstack bgp peer list.",
  ),
  BgpPeerNotAuthenticated: neutron(
    404,
    "peer",
    "BGP peer %(bgp_peer_id)s not authenticated.",
    "A peer of auth_type none has no password: make another peer of auth_type md5.",
  ),
  InvalidBgpPeerMd5Authentication: neutron(
    400,
    "peer",
    "A password must be supplied when using auth_type md5.",
    "Give the password that the peer has for this session, or auth_type none.",
  ),
  BgpSpeakerPeerNotAssociated: neutron(
    404,
    "speaker",
    "BGP peer %(bgp_peer_id)s is not associated with BGP speaker %(bgp_speaker_id)s.",
    "Look at the speaker's peers: openstack bgp speaker show SPEAKER.",
  ),
  BgpSpeakerNetworkNotAssociated: neutron(
    404,
    "speaker",
    "Network %(network_id)s is not associated with BGP speaker %(bgp_speaker_id)s.",
    "Look at the speaker's networks: openstack bgp speaker show SPEAKER.",
  ),
  BgpSpeakerNetworkBindingError: neutron(
    409,
    "speaker",
    "Network %(network_id)s is already bound to BgpSpeaker %(bgp_speaker_id)s.",
    "Nothing is to be done: the speaker announces by the network.",
  ),
  DuplicateBgpPeerIpException: neutron(
    409,
    "speaker",
    "BGP Speaker %(bgp_speaker_id)s is already configured to peer with a BGP Peer at %(peer_ip)s, it cannot peer with BGP Peer %(bgp_peer_id)s.",
    "Remove the other peer from the speaker first.",
  ),
} as const;
