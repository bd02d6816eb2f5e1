/** Errors of networks' segments and of subnets by segment, as a Neutron (Zed) answers them (extensions `multi-provider`, `segment`). */
import { entriesOf } from "./error-entry.ts";

const neutron = entriesOf("neutron");

export const segmentErrors = {
  SegmentNotFound: neutron(
    404,
    "segment",
    "Segment %(segment_id)s could not be found.",
    "List the segments, as an administrator.",
  ),
  SegmentInUse: neutron(
    409,
    "segment",
    "Segment '%(segment_id)s' cannot be deleted: %(reason)s.",
    "Delete or move what the message names first.",
  ),
  SegmentsSetInConjunctionWithProviders: neutron(
    400,
    "network",
    "Segments and provider values cannot both be set.",
    "Say where the network stands either by segments or by provider attributes.",
  ),
  SegmentsContainDuplicateEntry: neutron(
    400,
    "network",
    "Duplicate segment entry in request.",
    "Name each segment once.",
  ),
  NetworkIdsDontMatch: neutron(
    400,
    "subnet",
    "The subnet's network id, '%(subnet_network)s', doesn't match the network_id of segment '%(segment_id)s'",
    "Name a segment of the subnet's own network.",
  ),
  SubnetsNotAllAssociatedWithSegments: neutron(
    400,
    "subnet",
    "All of the subnets on network '%(network_id)s' must either all be associated with segments or all not associated with any segment.",
    "Name a segment for each subnet of the network, or for none.",
  ),
  SubnetSegmentAssociationChangeNotAllowed: neutron(
    400,
    "subnet",
    "A subnet that is already associated with a segment cannot have its segment association changed.",
    "Delete the subnet and make it again.",
  ),
  NoUpdateSubnetWhenMultipleSegmentsOnNetwork: neutron(
    400,
    "subnet",
    "The network '%(network_id)s' has multiple segments, it is only possible to associate an existing subnet with a segment on networks with a single segment.",
    "Name the segment when the subnet is made.",
  ),
  HostConnectedToMultipleSegments: neutron(
    409,
    "port",
    "Host %(host)s is connected to multiple segments on routed provider network '%(network_id)s'.  It should be connected to one.",
    "Give the host the physical network of one segment only (bridgeMappings).",
  ),
  HostNotConnectedToAnySegment: neutron(
    409,
    "port",
    "Host %(host)s is not connected to any segments on routed provider network '%(network_id)s'.  It should be connected to one.",
    "Choose a host that has the physical network of a segment with subnets (selvage host list).",
  ),
  HostNotCompatibleWithFixedIps: neutron(
    409,
    "port",
    "Host %(host)s is not connected to a segment where the existing fixed_ips on port %(port_id)s will function given the routed network topology.",
    "Choose a host of the segment that the port's addresses are of, or give it other addresses.",
  ),
  FixedIpsSubnetsNotOnSameSegment: neutron(
    400,
    "port",
    "Cannot allocate addresses from different segments.",
    "Name subnets of one segment.",
  ),
} as const;
