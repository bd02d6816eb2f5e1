/**
 * BGP speakers: what is announced by which external networks, and to whom (Networking v2.0, `/v2.0/bgp-speakers`; extension `bgp`). Admin only. Every host that has
 * the wire of a speaker's network speaks for itself: what it holds, with its own address there as the next hop.
 */
import { fail } from "@selvage/base";
import {
  BgpPeer,
  BgpSpeaker,
  type BgpSpeaker as BgpSpeakerObject,
  Host,
  HostGateway,
  show,
  type View,
} from "@selvage/model";
import { isAdmin } from "../api/policy.ts";
import { announcerReply } from "./agent.ts";
import { advertisedRoutes } from "./bgp-routes.ts";
import { settleHostGateways } from "./host-gateways.ts";
import { visibleNetwork } from "./network.ts";
import { ownerOf, type ResourceRules, type Values, type WriteAction, type Writing } from "./rules.ts";

type Named = "bgp_peer_id" | "network_id";

const isUuid = (value: unknown): value is string =>
  typeof value === "string" && /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(value);

/** The body of an action names one object, and is answered with it. */
function action(
  name: string,
  id: Named,
  run: (writing: Writing, speaker: BgpSpeakerObject, named: string) => void,
): WriteAction<BgpSpeakerObject> {
  return {
    name,
    method: "PUT",
    allowed: isAdmin,
    read: (body) => {
      const bad = (msg: string) => fail("BadRequest", { resource: "bgp-speaker", msg });
      if (!(id in body)) throw bad(`${id} must be specified`);
      if (!isUuid(body[id])) throw bad(`'${show(body[id])}' is not a valid UUID`);
      return { [id]: body[id] };
    },
    run: (writing, speaker, values) => {
      run(writing, speaker, String(values[id]));
      return { body: values };
    },
  };
}

export const bgpSpeakerRules: ResourceRules<typeof BgpSpeaker> = {
  resource: BgpSpeaker,
  path: "bgp-speakers",
  notFound: (id) => fail("BgpSpeakerNotFound", { id }),
  policy: { get: isAdmin, create: isAdmin, update: isAdmin, delete: isAdmin, attributes: {} },
  target: (_view, object) => ({ projectId: String(object.project_id) }),
  computed: {},
  create: (writing, values) =>
    writing.transaction.put(BgpSpeaker, {
      id: writing.transaction.newId(),
      project_id: ownerOf(writing, values),
      name: String(values.name),
      local_as: Number(values.local_as),
      ip_version: values.ip_version === 6 ? 6 : 4,
      advertise_floating_ip_host_routes: values.advertise_floating_ip_host_routes === true,
      advertise_tenant_networks: values.advertise_tenant_networks === true,
      peers: [],
      networks: [],
    }),
  update: ({ transaction }, before, values) => transaction.put(BgpSpeaker, { ...before, ...values }),
  remove: (writing, speaker, precondition) => {
    precondition();
    writing.transaction.remove(BgpSpeaker, speaker.id);
    for (const network of speaker.networks) settleHostGateways(writing, network);
  },
  actions: [
    action("add_bgp_peer", "bgp_peer_id", ({ transaction }, speaker, id) => {
      const { view } = transaction;
      const peer = view.get(BgpPeer, id);
      if (peer === undefined) throw fail("BgpPeerNotFound", { id });
      const { peer_ip } = peer;
      if (speaker.peers.some((other) => view.get(BgpPeer, other)?.peer_ip === peer_ip))
        throw fail("DuplicateBgpPeerIpException", { bgp_speaker_id: speaker.id, peer_ip, bgp_peer_id: id });
      transaction.put(BgpSpeaker, { ...speaker, peers: [...speaker.peers, id] });
    }),
    action("remove_bgp_peer", "bgp_peer_id", ({ transaction }, speaker, id) => {
      if (!speaker.peers.includes(id))
        throw fail("BgpSpeakerPeerNotAssociated", { bgp_peer_id: id, bgp_speaker_id: speaker.id });
      transaction.put(BgpSpeaker, { ...speaker, peers: speaker.peers.filter((other) => other !== id) });
    }),
    action("add_gateway_network", "network_id", (writing, speaker, id) => {
      const network = visibleNetwork(writing.transaction.view, writing.caller, id);
      if (speaker.networks.includes(network.id))
        throw fail("BgpSpeakerNetworkBindingError", { network_id: id, bgp_speaker_id: speaker.id });
      writing.transaction.put(BgpSpeaker, { ...speaker, networks: [...speaker.networks, network.id] });
      if (settleHostGateways(writing, network.id).length > 0)
        throw fail("IpAddressGenerationFailure", { net_id: network.id });
    }),
    action("remove_gateway_network", "network_id", (writing, speaker, id) => {
      if (!speaker.networks.includes(id))
        throw fail("BgpSpeakerNetworkNotAssociated", { network_id: id, bgp_speaker_id: speaker.id });
      unbind(writing, speaker, id);
    }),
    {
      name: "get_advertised_routes",
      method: "GET",
      allowed: isAdmin,
      answer: (speaker, { view }): Values => ({ advertised_routes: advertisedRoutes(view, speaker) }),
    },
    {
      name: "bgp-dragents",
      method: "GET",
      allowed: isAdmin,
      rule: "list_dragent_hosting_bgp_speaker",
      answer: (speaker, world): Values => ({
        agents: speakingHosts(world.view, speaker).map((host) => announcerReply(host, world)),
      }),
    },
  ],
};

/** The hosts that speak for a speaker. */
function speakingHosts(view: View, speaker: BgpSpeakerObject): readonly Host[] {
  const ids = new Set(
    speaker.networks.flatMap((network) => view.by(HostGateway.index.network_id, network).map(({ host_id }) => host_id)),
  );
  return [...ids].flatMap((id) => view.get(Host, id) ?? []);
}

function unbind(writing: Writing, speaker: BgpSpeakerObject, networkId: string): void {
  writing.transaction.put(BgpSpeaker, {
    ...speaker,
    networks: speaker.networks.filter((other) => other !== networkId),
  });
  settleHostGateways(writing, networkId);
}

/** A network that goes is announced by no more. */
export function leaveSpeakers(writing: Writing, networkId: string): void {
  for (const speaker of writing.transaction.view.by(BgpSpeaker.index.networks, networkId))
    unbind(writing, speaker, networkId);
}
