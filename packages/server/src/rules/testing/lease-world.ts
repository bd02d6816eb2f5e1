/** A replica whose routers, ports and hosts tests put by number, and who should have a block there by what stands in it: for the tests of leases. */
import assert from "node:assert/strict";
import {
  Host,
  keyOf,
  leasedPorts,
  NatLease,
  NatRest,
  Network,
  Port,
  Project,
  Replica,
  Router,
  Subnet,
  type View,
} from "@selvage/model";
import {
  makeExternalNetwork,
  makeGateway,
  makeHost,
  makeNetwork,
  makePort,
  makeProject,
  makeRouter,
  makeSubnet,
  testMac,
} from "@selvage/model/testing";
import { overlaps } from "../../nat-blocks.ts";
import { Transaction } from "../../transaction.ts";
import { settleWays } from "../nat-leases.ts";
import { routersFrom } from "../router-ways.ts";
import { putPort, removePort } from "../security-group-sets.ts";

export const second = 1_000;

/** A view that transactions are applied to, at a time that the test says. */
export class World {
  replica = new Replica();
  now = Date.parse("2026-01-01T00:00:00Z");

  constructor(hosts: number) {
    this.do((t) => {
      t.put(Project, makeProject());
      t.put(Network, makeExternalNetwork({ id: "outside" }));
      t.put(Subnet, makeSubnet({ id: "s", network_id: "outside", cidr: "203.0.113.0/24" }));
      for (let n = 1; n <= hosts; n += 1)
        t.put(Host, makeHost({ id: `host-${n}`, name: `h${n}`, key: n, tunnel_ip: null }));
    });
  }

  do(rules: (transaction: Transaction) => void): void {
    const author = { kind: "system", id: "test", request_id: "test" } as const;
    const transaction = new Transaction(this.replica, author, this.now);
    rules(transaction);
    this.replica.apply(transaction.changes(), this.replica.revision + 1);
  }

  /** Does as `do`, and gives what it looked up, as often as it did. */
  counted(rules: (transaction: Transaction) => void): readonly string[] {
    const { replica } = this;
    const looked: string[] = [];
    const counting: View = {
      get: (resource, id) => {
        looked.push(`${resource.kind} ${id}`);
        return replica.get(resource, id);
      },
      has: (resource, id) => {
        looked.push(`${resource.kind} ${id}`);
        return replica.has(resource, id);
      },
      by: (index, key) => {
        looked.push(`${index.name} ${key}`);
        return replica.by(index, key);
      },
      exists: (index, key) => {
        looked.push(`${index.name} ${key}`);
        return replica.exists(index, key);
      },
      count: (index, key) => {
        looked.push(`${index.name} ${key}`);
        return replica.count(index, key);
      },
    };
    const transaction = new Transaction(counting, { kind: "system", id: "test", request_id: "test" }, this.now);
    rules(transaction);
    replica.apply(transaction.changes(), replica.revision + 1);
    return looked;
  }

  router(n: number, networks: readonly number[]): void {
    this.do((t) => {
      t.put(Router, makeRouter({ id: `router-${n}`, key: n }));
      for (const net of networks) {
        if (!t.view.has(Network, `net-${net}`))
          t.put(Network, makeNetwork({ id: `net-${net}`, "provider:segmentation_id": net }));
        putPort(t, this.port(`interface-${n}-${net}`, net, { router_id: `router-${n}` }));
      }
    });
  }

  port(id: string, net: number, more: Partial<Port> = {}): Port {
    const number = [...id].reduce((hash, letter) => (hash * 31 + letter.charCodeAt(0)) % 0xffffff, 7);
    const own = { id, network_id: `net-${net}`, mac_address: testMac(number), key: number + 1, fixed_ips: [] };
    return makePort({ ...own, port_security_enabled: false, ...more });
  }

  gateway(n: number, addresses: readonly string[]): void {
    const id = `gateway-${n}`;
    this.do((t) => {
      const fixed_ips = addresses.map((ip_address) => ({ subnet_id: "s", ip_address }));
      const port = makeGateway({
        id,
        network_id: "outside",
        gateway_of: `router-${n}`,
        fixed_ips,
        mac_address: testMac(0xd00000 + n),
        key: 0xd00000 + n,
      });
      putPort(t, port);
    });
  }

  closeGateway(n: number): void {
    this.do((t) => {
      const port = t.view.get(Port, `gateway-${n}`);
      if (port !== undefined) removePort(t, port);
    });
  }

  bind(id: string, net: number, host: string): void {
    this.do((t) => void putPort(t, this.port(id, net, { "binding:host_id": host })));
  }

  /** A router's interface at an address. */
  stand(id: string, router: number, net: number, ip_address: string): void {
    this.do((t) => {
      if (!t.view.has(Network, `net-${net}`))
        t.put(Network, makeNetwork({ id: `net-${net}`, "provider:segmentation_id": net }));
      const fixed_ips = [{ subnet_id: `s-${net}`, ip_address }];
      putPort(t, this.port(id, net, { router_id: `router-${router}`, fixed_ips }));
    });
  }

  route(n: number, nexthops: readonly string[]): void {
    this.do((t) => {
      const before = routersFrom(t.view, `router-${n}`);
      const routes = nexthops.map((nexthop) => ({ destination: "0.0.0.0/0", nexthop }));
      t.put(Router, makeRouter({ id: `router-${n}`, key: n, routes }));
      settleWays(t, `router-${n}`, before);
    });
  }

  unplug(id: string): void {
    this.do((t) => {
      const port = t.view.get(Port, id);
      if (port !== undefined) removePort(t, port);
    });
  }

  get leases(): readonly NatLease[] {
    return [...this.replica.objects(NatLease)];
  }

  get holders(): readonly string[] {
    return this.leases.map((lease) => `${lease.router_id} ${lease.host_id} ${lease.address}`).sort();
  }

  /** Router and host, of each that has a lease. */
  get pairs(): readonly string[] {
    return [...new Set(this.leases.map((each) => `${each.router_id} ${each.host_id}`))].sort();
  }

  /** Router and host, of each that should have a lease. */
  get wanted(): readonly string[] {
    const ports = [...this.replica.objects(Port)];
    const wanted = new Set<string>();
    const leads = ({ id, routes }: Router, to: string): boolean =>
      ports.some(
        ({ router_id, fixed_ips: [there] }) =>
          router_id === to &&
          routes.some(({ nexthop }) => nexthop === there?.ip_address) &&
          ports.some((own) => own.router_id === id && own.fixed_ips[0]?.subnet_id === there?.subnet_id),
      );
    const routers = [...this.replica.objects(Router)];
    /** Those from which a packet comes out by a router, passing four at most. */
    const behind = (routerId: string): readonly string[] => {
      let all: readonly string[] = [routerId];
      for (let passed = 1; passed < 4; passed += 1)
        all = routers.filter((each) => all.includes(each.id) || all.some((to) => leads(each, to))).map(({ id }) => id);
      return all;
    };
    for (const router of this.replica.objects(Router)) {
      const gateway = ports.find((port) => port.gateway_of === router.id);
      if (!router.enable_snat || gateway?.fixed_ips.some((fixed) => !fixed.ip_address.includes(":")) !== true) continue;
      const inside = behind(router.id);
      const networks = ports.filter((port) => inside.includes(port.router_id ?? "")).map((port) => port.network_id);
      for (const port of ports) {
        const [host] = this.replica.by(Host.index.name, port["binding:host_id"]);
        if (host !== undefined && networks.includes(port.network_id)) wanted.add(`${router.id} ${host.id}`);
      }
    }
    return [...wanted].sort();
  }

  check(): void {
    assert.deepEqual(this.pairs, this.wanted);
    const rests = [...this.replica.objects(NatRest)].filter((rest) => Date.parse(rest.until) > this.now);
    const blocks = [...this.leases, ...rests];
    for (const [at, one] of blocks.entries()) {
      assert.ok(one.first >= leasedPorts.first && one.first + one.size - 1 <= leasedPorts.last);
      assert.equal(one.first % one.size, 0);
      for (const other of blocks.slice(at + 1))
        assert.equal(one.address === other.address && overlaps(one, other), false, `${one.first} ${other.first}`);
    }
    for (const group of Map.groupBy(this.leases, (each) => keyOf(each.router_id, each.host_id)).values())
      assert.equal(group.filter((each) => each.current).length, 1);
  }
}
