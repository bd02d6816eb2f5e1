/** What hosts need to announce routes by BGP: who has the wire of a speaker's network is told of it and of its peers, and of its own addresses there alone. */
import { BgpPeer, BgpSpeaker, type Derivation, derive, HostGateway } from "@selvage/model";
import { steering } from "./outside-scopes.ts";
import { besides, ownScope, type ScopeRow } from "./scope-rows.ts";

export const bgpDerivations: readonly Derivation<ScopeRow>[] = [
  derive("bgp speaker", BgpSpeaker, (speaker, view) =>
    speaker.networks.flatMap((network) => [
      besides(steering(network), BgpSpeaker.kind, speaker),
      ...speaker.peers.flatMap((id) => {
        const peer = view.get(BgpPeer, id);
        return peer === undefined ? [] : [besides(steering(network), BgpPeer.kind, peer)];
      }),
    ]),
  ),
  derive("host gateway", HostGateway, (gateway) => [besides(ownScope(gateway.host_id), HostGateway.kind, gateway)]),
];

export const bgpResources = [BgpPeer, BgpSpeaker, HostGateway] as const;
