/**
 * A speaker's configuration for FRR's bgpd, and the commands that make one of another (FRR user guide, "BGP"). Next hops are set route by route and left alone on
 * the way out; nothing is learned from peers. A session that ends without a word leaves what it announced in force for a time (RFC 4724).
 */
import type { Announcement, Told } from "./announcement.ts";

/** What is the same for all speakers of a host. */
export interface Standing {
  /** The BGP identifier (RFC 4271 section 4.2). */
  readonly routerId: string;
  /** Where sessions come from; empty: as the system routes. */
  readonly source: string;
  /** How long peers keep what an agent announced that ended without a word, seconds; 0: not at all. */
  readonly restartTime: number;
}

/** Seconds: how often a session says that it lives, after how long a silence it is over, and when it is tried again. */
const timers = { keepalive: 3, hold: 9, connect: 2 } as const;

const refuse = "refuse";
const leading = (nextHop: string): string => `by-${nextHop}`;

const versionOf = (text: string): 4 | 6 => (text.includes(":") ? 6 : 4);
const family = (version: 4 | 6): string => `address-family ipv${version} unicast`;

function routeMap(nextHop: string): readonly string[] {
  const set = versionOf(nextHop) === 4 ? "set ip next-hop" : "set ipv6 next-hop global";
  return [`route-map ${leading(nextHop)} permit 10`, `${set} ${nextHop}`, "exit"];
}

function session(standing: Standing, localAs: number, peer: Told): readonly string[] {
  const { address, remoteAs } = peer;
  const at = `neighbor ${address}`;
  return [
    `${at} remote-as ${remoteAs}`,
    ...(peer.secret === null ? [] : [`${at} password ${peer.secret}`]),
    // Nothing tells it which networks it is on, so that every peer counts as one of another network.
    ...(remoteAs === localAs ? [] : [`${at} ebgp-multihop 255`]),
    ...(standing.source === "" || versionOf(standing.source) !== versionOf(address)
      ? []
      : [`${at} update-source ${standing.source}`]),
    `${at} timers ${timers.keepalive} ${timers.hold}`,
    `${at} timers connect ${timers.connect}`,
    `${at} advertisement-interval 0`,
  ];
}

const exchange = (peer: Told): readonly string[] => [
  `neighbor ${peer.address} activate`,
  `neighbor ${peer.address} attribute-unchanged next-hop`,
  `neighbor ${peer.address} route-map ${refuse} in`,
];

const announce = ([prefix, nextHop]: readonly [string, string]): string =>
  `network ${prefix} route-map ${leading(nextHop)}`;

/** The whole, as a file: route maps come before what names them, for those that come later are not looked at again. */
export function configuration(standing: Standing, { localAs, version, peers, routes }: Announcement): string {
  const { routerId, restartTime } = standing;
  return [
    `route-map ${refuse} deny 10`,
    "exit",
    ...[...new Set(routes.values())].flatMap(routeMap),
    `router bgp ${localAs}`,
    `bgp router-id ${routerId}`,
    "no bgp default ipv4-unicast",
    "no bgp ebgp-requires-policy",
    "no bgp network import-check",
    ...(restartTime === 0
      ? []
      : [
          "bgp graceful-restart",
          "bgp graceful-restart preserve-fw-state",
          // Whoever hears nothing from this host any more is to believe that it is lost: no RFC 8538.
          "no bgp graceful-restart notification",
          `bgp graceful-restart restart-time ${restartTime}`,
        ]),
    ...peers.flatMap((peer) => session(standing, localAs, peer)),
    family(version),
    ...[...routes].map(announce),
    ...peers.flatMap(exchange),
    "exit-address-family",
    "exit",
    "",
  ].join("\n");
}

const samePeer = (one: Told, other: Told): boolean =>
  one.address === other.address && one.remoteAs === other.remoteAs && one.secret === other.secret;

/** The commands that lead from what was said to what is to be said, of one speaker; none when there is nothing to change. What is withdrawn comes first. */
export function changes(standing: Standing, before: Announcement, after: Announcement): readonly string[] {
  const gone = [...before.routes.keys()].filter((prefix) => !after.routes.has(prefix));
  const come = [...after.routes].filter(([prefix, nextHop]) => before.routes.get(prefix) !== nextHop);
  const left = before.peers.filter((peer) => !after.peers.some((other) => samePeer(peer, other)));
  const met = after.peers.filter((peer) => !before.peers.some((other) => samePeer(peer, other)));
  if (gone.length + come.length + left.length + met.length === 0) return [];
  const known = new Set(before.routes.values());
  const maps = [...new Set(come.map(([, nextHop]) => nextHop))].filter((nextHop) => !known.has(nextHop));
  const routes = [...gone.map((prefix) => `no network ${prefix}`), ...come.map(announce)];
  return [
    "configure terminal",
    ...maps.flatMap(routeMap),
    `router bgp ${after.localAs}`,
    ...within(family(after.version), routes),
    ...left.map(({ address }) => `no neighbor ${address}`),
    ...met.flatMap((peer) => session(standing, after.localAs, peer)),
    ...within(family(after.version), met.flatMap(exchange)),
    "end",
  ];
}

const within = (node: string, lines: readonly string[]): readonly string[] =>
  lines.length === 0 ? [] : [node, ...lines, "exit-address-family"];

/** Takes leave of every peer: what was announced holds no more, though a restart would have kept it (RFC 4724 section 4). */
export const farewell = ({ localAs, peers }: Announcement): readonly string[] => [
  "configure terminal",
  `router bgp ${localAs}`,
  ...peers.map(({ address }) => `neighbor ${address} shutdown`),
  "end",
];
