/** How routers lead to each other: the extra routes of one have addresses of another as next hops, and so what is behind the one goes out by the other. */
import { keyOf, Port, Router, type View } from "@selvage/model";

/** Routers that a packet passes at most (pipeline, table `hops`). */
const most = 4;

/** Routers, and how many steps each is away. */
export type Reached = ReadonlyMap<string, number>;

/** The ways that a view has. What was looked up is kept: for one piece of work, while routers and their interfaces stay as they are. */
export class Ways {
  readonly #view: View;
  /** Routers that a router's routes lead to. */
  readonly #next = new Map<string, ReadonlySet<string>>();
  /** Routers with routes on a network. */
  readonly #sending = new Map<string, readonly string[]>();

  constructor(view: View) {
    this.#view = view;
  }

  /** The router, and all that its routes lead to; also by `subnets` that it is taken to stand on besides its own. */
  from(routerId: string, subnets: readonly string[] = []): Reached {
    return reached(routerId, (id) =>
      id === routerId && subnets.length > 0 ? this.#lookUp(id, subnets) : this.#nextOf(id),
    );
  }

  /** The networks of a router, and those behind routers whose routes lead to it. */
  networksTo(routerId: string): ReadonlySet<string> {
    const routers = reached(routerId, (id) => this.#formerOf(id));
    return new Set([...routers.keys()].flatMap((id) => this.#networksOf(id)));
  }

  #networksOf(routerId: string): readonly string[] {
    return this.#view.by(Port.index.router_id, routerId).map(({ network_id }) => network_id);
  }

  #nextOf(routerId: string): ReadonlySet<string> {
    const known = this.#next.get(routerId) ?? this.#lookUp(routerId, []);
    this.#next.set(routerId, known);
    return known;
  }

  /** Where its IPv4 routes lead. An extra route whose next hop is no router's is a machine's business. */
  #lookUp(routerId: string, besides: readonly string[]): ReadonlySet<string> {
    const routes = this.#view.get(Router, routerId)?.routes ?? [];
    const next = new Set<string>();
    if (routes.length === 0) return next;
    const own = this.#view.by(Port.index.router_id, routerId).flatMap(({ fixed_ips }) => fixed_ips);
    const subnets = new Set([...own.map(({ subnet_id }) => subnet_id), ...besides]);
    for (const { nexthop } of routes) {
      if (nexthop.includes(":")) continue;
      for (const subnet of subnets) {
        const [port] = this.#view.by(Port.index.address, keyOf(subnet, nexthop));
        if (port?.router_id != null) next.add(port.router_id);
      }
    }
    return next;
  }

  /** A router's neighbours that have a route to it. */
  #formerOf(routerId: string): readonly string[] {
    return this.#networksOf(routerId)
      .flatMap((network) => this.#sendingOn(network))
      .filter((id) => id !== routerId && this.#nextOf(id).has(routerId));
  }

  #sendingOn(network: string): readonly string[] {
    const known =
      this.#sending.get(network) ??
      this.#view
        .by(Port.index.routedNetwork, network)
        .map(({ router_id }) => router_id ?? "")
        .filter((id) => (this.#view.get(Router, id)?.routes ?? []).length > 0);
    this.#sending.set(network, known);
    return known;
  }
}

function reached(first: string, step: (routerId: string) => Iterable<string>): Reached {
  const all = new Map([[first, 0]]);
  let last: readonly string[] = [first];
  for (let passed = 1; passed < most && last.length > 0; passed += 1) {
    last = [...new Set(last.flatMap((each) => [...step(each)]))].filter((each) => !all.has(each));
    for (const each of last) all.set(each, passed);
  }
  return all;
}

/** The router, and all that its routes lead to. */
export const routersFrom = (view: View, routerId: string): Reached => new Ways(view).from(routerId);
