/** Extensions of the way out. */
import { type Extension, extension } from "./extension.ts";

export const outsideExtensions: readonly Extension[] = Object.freeze([
  extension(
    "network-segment-range",
    "Neutron Network Segment Range",
    "Provides support for the network segment range management",
    "2018-11-29T00:00:00-00:00",
  ),
  extension(
    "multi-provider",
    "Multi Provider Network",
    "Expose mapping of virtual networks to multiple physical networks",
    "2013-06-27T10:00:00-00:00",
  ),
  extension("segment", "Segment", "Segments extension.", "2016-02-24T17:00:00-00:00"),
  extension(
    "standard-attr-segment",
    "Standard Attribute Segment Extension",
    "Add standard attributes to Segment resource",
    "2018-04-09T10:00:00-00:00",
  ),
  extension("l2_adjacency", "L2 Adjacency", "Display L2 Adjacency for Neutron Networks.", "2016-04-12T16:00:00-00:00"),
  extension("ip_allocation", "IP Allocation", "IP allocation extension.", "2016-06-10T23:00:00-00:00"),
  extension(
    "subnet-segmentid-writable",
    "Subnet SegmentID (writable)",
    "Provides a writable segment_id attribute for a subnet resource.",
    "2018-03-12T00:00:00-00:00",
  ),
  extension(
    "segments-peer-subnet-host-routes",
    "Segments peer-subnet host routes",
    "Add host routes to subnets on a routed network (segments)",
    "2018-06-12T10:00:00-00:00",
  ),
  extension(
    "external-net",
    "Neutron external network",
    "Adds external network attribute to network resource.",
    "2013-01-14T10:00:00-00:00",
  ),
  extension(
    "ext-gw-mode",
    "Neutron L3 Configurable external gateway mode",
    "Extension of the router abstraction for specifying whether SNAT should occur on the external gateway",
    "2013-03-28T10:00:00-00:00",
  ),
  extension(
    "auto-allocated-topology",
    "Auto Allocated Topology Services",
    "Auto Allocated Topology Services.",
    "2016-01-01T00:00:00-00:00",
  ),
  extension(
    "fip-port-details",
    "Floating IP Port Details Extension",
    "Add port_details attribute to Floating IP resource",
    "2018-04-09T10:00:00-00:00",
  ),
  extension(
    "floatingip-pools",
    "Floating IP Pools Extension",
    "Provides a floating IP pools API.",
    "2018-03-21T10:00:00-00:00",
  ),
  extension(
    "floating-ip-port-forwarding",
    "Floating IP Port Forwarding",
    "Allow port forwarding from floating IP port to an internal port",
    "2018-01-19T10:00:00-00:00",
  ),
  extension(
    "floating-ip-port-forwarding-detail",
    "Floating IP port forwarding detail",
    "Allow list floating ip return more port forwarding data, include'id' and 'internal_port_id'",
    "2022-05-06T10:00:00-00:00",
  ),
  extension(
    "floating-ip-port-forwarding-description",
    "Floating IP Port Forwarding new attribute description",
    "Add a description field to Port Forwarding rules",
    "2019-11-01T10:00:00-00:00",
  ),
  extension(
    "floating-ip-port-forwarding-port-ranges",
    "Floating IP Port Forwarding support port ranges",
    "Add suport to port ranges",
    "2020-07-01T10:00:00-00:00",
  ),
  extension(
    "expose-port-forwarding-in-fip",
    "Expose Floating IP port forwardings",
    "Expose port forwarding fields in floating IP response",
    "2018-06-28T16:00:00-00:00",
  ),
  extension("l3-ndp-proxy", "name", "Provides the NDP proxy of IPv6 addresses", "2021-06-29T10:00:00-00:00"),
  extension(
    "l3-ext-ndp-proxy",
    "Router support to enable NDP proxy",
    "Router support to enable NDP proxy",
    "2020-08-25T00:00:00-00:00",
  ),
]);
