/** Random histories with routers in them: interfaces, extra routes, pools and address scopes come and go beside what a history does, before and after what they name. */
import fc from "fast-check";
import { AddressScope } from "../resources/address-scope.ts";
import { Port } from "../resources/port.ts";
import { Router } from "../resources/router.ts";
import { type HostRoute, ipv6Modes, Subnet } from "../resources/subnet.ts";
import { Subnetpool } from "../resources/subnetpool.ts";
import type { Change } from "../view.ts";
import type { Step } from "./history.ts";
import { makeAddressScope, makePort, makeRouter, makeSubnetpool, put, remove, testId } from "./objects.ts";

/** What happens to routers beside one step. */
interface Turn {
  readonly kind: number;
  readonly router: number;
  readonly pick: number;
  readonly value: number;
}

const turn: fc.Arbitrary<Turn> = fc.record({
  kind: fc.nat(11),
  router: fc.integer({ min: 1, max: 3 }),
  pick: fc.nat(0xffff),
  value: fc.nat(0xffff),
});

const routerId = (n: number): string => testId("router", n);
const poolId = (n: number): string => testId("subnetpool", n);
const scopeId = (n: number): string => testId("address scope", n);
const isV6 = (text: string): boolean => text.includes(":");

/** A subnet as it would be of a pool and, where it is of IPv6, advertised. */
function pooled(subnet: Subnet, value: number): Subnet {
  return {
    ...subnet,
    subnetpool_id: value % 3 === 0 ? null : poolId(value % 3),
    ipv6_ra_mode: subnet.ip_version === 6 ? (ipv6Modes[value % 4] ?? null) : null,
  };
}

/** The n-th router's address on a subnet: no other port of a history has it. */
function addressOf(subnet: Subnet, n: number): string {
  const [prefix = ""] = subnet.cidr.split("/");
  return isV6(prefix) ? `${prefix}fff${n}` : prefix.replace(/0\.0$/, `255.${240 + n}`);
}

const interfaceId = (subnet: Subnet, n: number): string => testId(`interface ${n}`, numberOf(subnet));
const numberOf = (subnet: Subnet): number => Number.parseInt(subnet.id.slice(-12), 16);

function interfaceOf(subnet: Subnet, n: number): Port {
  const number = numberOf(subnet);
  return makePort({
    id: interfaceId(subnet, n),
    key: 0x800000 + number * 4 + n,
    network_id: subnet.network_id,
    mac_address: `fa:16:3e:ff:${(number % 256).toString(16).padStart(2, "0")}:0${n}`,
    fixed_ips: [{ subnet_id: subnet.id, ip_address: addressOf(subnet, n) }],
    router_id: routerId(n),
    device_id: routerId(n),
    port_security_enabled: false,
  });
}

/** Routes to prefixes that some subnet has or none, through another router on a subnet; now and then with several next hops. */
function routesOf(subnet: Subnet, n: number, value: number): readonly HostRoute[] {
  const others = [1, 2, 3].filter((each) => each !== n).map((each) => addressOf(subnet, each));
  const destination = isV6(subnet.cidr) ? `2001:db8:${value % 16}::/64` : `10.${value % 16}.0.0/16`;
  return others.slice(value % 3).map((nexthop) => ({ destination, nexthop }));
}

function changesOf({ kind, router, pick, value }: Turn, subnets: readonly Subnet[]): readonly Change[] {
  const subnet = subnets[pick % Math.max(1, subnets.length)];
  const key = router;
  switch (kind) {
    case 0:
      return [put(Router, makeRouter({ id: routerId(router), key, admin_state_up: value % 4 !== 0 }))];
    case 1:
      return [remove(Router, routerId(router))];
    case 2:
      return [put(Subnetpool, makeSubnetpool({ id: poolId(router % 3), address_scope_id: scopeId(value % 3) }))];
    case 3:
      return value % 4 === 0
        ? [remove(AddressScope, scopeId(value % 3))]
        : [put(AddressScope, makeAddressScope({ id: scopeId(value % 3), key: (value % 3) + 1 }))];
    case 4:
      return subnet === undefined ? [] : [remove(Port, interfaceId(subnet, router))];
    case 5:
    case 6:
      return subnet === undefined
        ? []
        : [put(Router, makeRouter({ id: routerId(router), key, routes: routesOf(subnet, router, value) }))];
    default:
      return subnet === undefined
        ? []
        : [put(Router, makeRouter({ id: routerId(router), key })), put(Port, interfaceOf(subnet, router))];
  }
}

/** A history, with what happens to routers between its steps. Routers, pools and scopes may go before what names them. */
export const withRouters = (history: fc.Arbitrary<readonly Step[]>): fc.Arbitrary<readonly Step[]> =>
  fc.tuple(history, fc.array(turn, { minLength: 8, maxLength: 80, size: "max" })).map(([steps, turns]) => {
    const subnets = new Map<string, Subnet>();
    return steps.flatMap(({ name, changes }, at): readonly Step[] => {
      const now = turns[at % turns.length];
      if (now === undefined) return [{ name, changes }];
      const seen = changes.map((change): Change => {
        if (change.kind !== Subnet.kind) return change;
        // A change of subnets bears a subnet.
        const subnet = change.object === null ? null : pooled(change.object as Subnet, now.value);
        if (subnet === null) subnets.delete(change.id);
        else subnets.set(subnet.id, subnet);
        return { ...change, object: subnet };
      });
      const more = changesOf(now, [...subnets.values()]);
      return [{ name, changes: seen }, ...(more.length === 0 ? [] : [{ name: `routers ${at}`, changes: more }])];
    });
  });
