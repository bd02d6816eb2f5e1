/** Routers for the compiler's tests: interfaces on named networks, extra routes, pools and address scopes, in one line. */
import {
  AddressScope,
  type Change,
  type HostRoute,
  type Network,
  networkKeyOf,
  Port,
  physicalKeys,
  Router,
  type Subnet,
  Subnetpool,
} from "@selvage/model";
import { makeAddressScope, makePort, makeRouter, makeSubnetpool, put, testId } from "@selvage/model/testing";

/** A network of a test, with its subnets. */
export interface TestNetwork {
  readonly network: Network;
  readonly subnets: readonly Subnet[];
}

export interface RouterPlan {
  /** Its number, 1 to 9: its key too. */
  readonly number: number;
  /** Names of the networks that it stands on, with the last number of its addresses there; 1 is the gateway. */
  readonly on: Readonly<Record<string, number>>;
  readonly routes?: readonly HostRoute[];
  readonly up?: boolean;
}

/** An interface as frames name it. */
export interface TestInterface {
  readonly port: Port;
  readonly mac: string;
  readonly ip4: string;
  readonly ip6: string;
  readonly linkLocal: string;
}

export interface TestRouter {
  readonly router: Router;
  readonly interfaces: Readonly<Record<string, TestInterface>>;
  readonly changes: readonly Change[];
}

/** Everything that a plan says. Throws RangeError on a network that is not there. */
export function routerOf(
  { number, on, routes = [], up = true }: RouterPlan,
  networks: ReadonlyMap<string, TestNetwork>,
): TestRouter {
  const router = makeRouter({ id: testId("router", number), key: number, routes, admin_state_up: up });
  const interfaces = Object.fromEntries(
    Object.entries(on).map(([name, last]) => {
      const found = networks.get(name);
      if (found === undefined) throw new RangeError(`no network ${name}`);
      return [name, interfaceOf(router, found, last)];
    }),
  );
  const ports = Object.values(interfaces).map(({ port }) => put(Port, port));
  return { router, interfaces, changes: [put(Router, router), ...ports] };
}

/** A small number of a network's own: keys of networks on wires are large. */
const numberOf = (network: Network): number =>
  (networkKeyOf(network) & 0x7f) | (networkKeyOf(network) < physicalKeys.first ? 0 : 0x80);

function interfaceOf(router: Router, { network, subnets }: TestNetwork, last: number): TestInterface {
  const net = numberOf(network);
  const hex = (n: number): string => n.toString(16).padStart(2, "0");
  const port = makePort({
    id: testId(`interface ${router.key}`, net),
    key: 0x800000 + router.key * 0x1000 + net,
    network_id: network.id,
    mac_address: `fa:16:3e:ff:${hex(router.key)}:${hex(net)}`,
    fixed_ips: subnets.map(({ id, cidr, ip_version }) => {
      const [prefix = ""] = cidr.split("/");
      const text = ip_version === 4 ? prefix.replace(/\.0$/, `.${last}`) : `${prefix}${last.toString(16)}`;
      return { subnet_id: id, ip_address: text };
    }),
    router_id: router.id,
    port_security_enabled: false,
  });
  const addresses = port.fixed_ips.map((each) => each.ip_address);
  return {
    port,
    mac: port.mac_address,
    ip4: addresses.find((each) => !each.includes(":")) ?? "0.0.0.0",
    ip6: addresses.find((each) => each.includes(":")) ?? "::",
    linkLocal: `fe80::f816:3eff:feff:${(router.key * 256 + net).toString(16)}`,
  };
}

/** The n-th address scope with a pool of it, of the same number. */
export const scopeOf = (number: number): readonly Change[] => [
  put(AddressScope, makeAddressScope({ id: testId("address scope", number), key: number })),
  put(
    Subnetpool,
    makeSubnetpool({ id: testId("subnetpool", number), address_scope_id: testId("address scope", number) }),
  ),
];

export const poolId = (number: number): string => testId("subnetpool", number);
