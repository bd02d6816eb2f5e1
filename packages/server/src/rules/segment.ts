/** Segments of networks: an admin adds them to a network on physical ones, names them, and takes them away while nothing stands there (extension `segment`). */
import { fail } from "@selvage/base";
import {
  Host,
  isRouted,
  Network,
  Port,
  Segment,
  type Segment as SegmentObject,
  Subnet,
  type View,
} from "@selvage/model";
import { isAdmin } from "../api/policy.ts";
import { settleHostGateways } from "./host-gateways.ts";
import { visibleNetwork } from "./network.ts";
import { segmentsAt } from "./placement.ts";
import { checkedPlace, checkJoins, giveSegment, placeOf, putSegment, settleProvider } from "./provider.ts";
import type { ResourceRules, Values } from "./rules.ts";

export const segmentRules: ResourceRules<typeof Segment> = {
  resource: Segment,
  notFound: (segment_id) => fail("SegmentNotFound", { segment_id }),
  policy: { get: isAdmin, create: isAdmin, update: isAdmin, delete: isAdmin, attributes: {} },
  target: () => ({ projectId: "" }),
  computed: {},
  create: (writing, values) => {
    const { view } = writing.transaction;
    const network = visibleNetwork(view, writing.caller, String(values.network_id));
    const { physical_network, segmentation_id, ...said } = values as Values & Partial<SegmentObject>;
    const type = String(values.network_type);
    const asked = checkedPlace(type, physical_network ?? undefined, segmentation_id ?? undefined);
    checkJoins(network, type);
    if (isRouted(view, network.id) && view.exists(Port.index.routedNetwork, network.id))
      throw fail("InvalidInput", {
        error_message: `Routers have interfaces on subnets of the segment that network ${network.id} has: remove them first`,
      });
    giveSegment(writing, network);
    const segment = putSegment(writing, network.id, placeOf(writing, asked, network.project_id), {
      name: said.name ?? null,
      description: said.description ?? null,
      revision_number: 1,
    });
    settleHostGateways(writing, network.id);
    return segment;
  },
  update: ({ transaction }, before, values) => transaction.put(Segment, { ...before, ...values }),
  remove: (writing, segment, precondition) => {
    const { transaction } = writing;
    const { view } = transaction;
    const used = usedBy(view, segment);
    if (used !== undefined) throw fail("SegmentInUse", { segment_id: segment.id, reason: used });
    precondition();
    transaction.remove(Segment, segment.id);
    settleProvider(writing, segment.network_id);
    settleHostGateways(writing, segment.network_id);
  },
};

/** Why a segment stays; undefined: nothing stands there. */
function usedBy(view: View, segment: SegmentObject): string | undefined {
  const subnets = view.by(Subnet.index.segment_id, segment.id).map(({ id }) => id);
  if (subnets.length > 0) return `The segment is still associated with subnet(s) ${subnets.join(", ")}`;
  if (view.count(Segment.index.network_id, segment.network_id) === 1)
    return "It is the only one of its network, which goes with it";
  const network = view.get(Network, segment.network_id);
  if (network === undefined || segment.physical_network === null) return undefined;
  const standing = view
    .by(Host.index.physical, segment.physical_network)
    .filter((host) => segmentsAt(view, network, host.name)[0]?.id === segment.id);
  const ports = standing.flatMap(({ name }) =>
    view.by(Port.index.networkHost, `${network.id}|${name}`).map(({ id }) => id),
  );
  return ports.length === 0 ? undefined : `The segment is still associated with port(s) ${ports.join(", ")}`;
}
