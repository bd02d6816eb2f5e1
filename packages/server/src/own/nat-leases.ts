/** `GET /v1/nat-leases`: which host translates with which ports of which router's address, and what rests. Admin only. */
import { Host, NatLease, NatRest, Network, Router, type View } from "@selvage/model";
import type { Caller } from "../api/policy.ts";
import type { Reply } from "../http/exchange.ts";
import { secondsText } from "../transaction.ts";
import type { OwnApi } from "./own.ts";
import { requireOwnAdmin } from "./request.ts";

interface Named {
  readonly id: string;
  readonly name: string;
}

/** In the order of addresses and ports. `current`: what is new begins there. `rests`: blocks that nobody has until then. */
export function listNatLeases(api: OwnApi, caller: Caller): Reply {
  requireOwnAdmin(caller, "Seeing leased ports");
  const { replica } = api.writer;
  const now = secondsText(api.now());
  const nat_leases = [...replica.objects(NatLease)].sort(byPort).map((lease) => ({
    id: lease.id,
    router: named(replica, Router, lease.router_id),
    host: named(replica, Host, lease.host_id),
    network: named(replica, Network, lease.network_id),
    ...portsOf(lease),
    current: lease.current,
    created_at: lease.created_at,
  }));
  const rests = [...replica.objects(NatRest)]
    .filter((rest) => rest.until > now)
    .sort(byPort)
    .map((rest) => ({ network: named(replica, Network, rest.network_id), ...portsOf(rest), until: rest.until }));
  return { status: 200, body: { nat_leases, rests } };
}

interface OfPorts {
  readonly address: string;
  readonly first: number;
  readonly size: number;
}

const portsOf = ({ address, first, size }: OfPorts) => ({ address, first_port: first, last_port: first + size - 1 });

const byPort = (one: OfPorts, other: OfPorts): number =>
  one.address === other.address ? one.first - other.first : one.address < other.address ? -1 : 1;

function named(view: View, kind: typeof Router | typeof Host | typeof Network, id: string): Named {
  const found: Named | undefined = view.get(kind as typeof Router, id);
  return { id, name: found?.name ?? "" };
}
