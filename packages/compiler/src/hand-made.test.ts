/** The rows that the datapath's suite writes by hand are those that the apps derive: so that what passes there holds for real rows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { rowsFor, type TestPort, testPort, vxlanNet } from "@selvage/datapath/testing";
import { Attachment, type Change, Engine, Host, Network, Port, Subnet } from "@selvage/model";
import { makeNetwork, makePort, makeSubnet, put, testId } from "@selvage/model/testing";
import { type Row, rowText } from "@selvage/pipeline";
import { derivationsFor } from "./mod.ts";
import { hostName, hostsOf, tunnelAddress } from "./testing/intent.ts";

const ports = [
  testPort(1, 1, 0),
  testPort(2, 1, 0),
  testPort(3, 1, 1),
  testPort(4, 2, 1),
  testPort(5, 2, 2),
  testPort(6, vxlanNet, 0),
  testPort(7, vxlanNet, 1),
] as const;
const hosts = hostsOf(3);

/** The intent that the hand-made ports stand for. */
function intentOf(all: readonly TestPort[]): readonly Change[] {
  const nets = [...new Set(all.map(({ net }) => net))];
  return [
    ...hosts.map((host) => put(Host, host)),
    ...nets.flatMap((net) => {
      const network_id = testId("network", net);
      return [
        put(
          Network,
          makeNetwork({
            id: network_id,
            "provider:segmentation_id": net,
            "provider:network_type": net === vxlanNet ? "vxlan" : "geneve",
          }),
        ),
        put(
          Subnet,
          makeSubnet({ id: testId("subnet", net), network_id, cidr: `10.0.${net}.0/24`, gateway_ip: `10.0.${net}.1` }),
        ),
        put(
          Subnet,
          makeSubnet({
            id: testId("subnet", 100 + net),
            network_id,
            ip_version: 6,
            cidr: `2001:db8:${net}::/64`,
            gateway_ip: null,
          }),
        ),
      ];
    }),
    ...all.map((port) => {
      const subnet_id = testId("subnet", port.net);
      return put(
        Port,
        makePort({
          id: port.id,
          key: port.key,
          network_id: testId("network", port.net),
          mac_address: port.mac,
          fixed_ips: [port.ip4, port.ip6].map((ip_address) => ({ subnet_id, ip_address })),
          "binding:host_id": hostName(port.host + 1),
        }),
      );
    }),
  ];
}

for (const [place, host] of hosts.entries()) {
  test(`every hand-made row of ${host.name} is derived, word for word`, () => {
    const engine = new Engine<Row>({ derivations: derivationsFor(host) });
    const plugged = ports.filter((port) => port.host === place).map(({ id }) => put(Attachment, { id }));
    engine.apply([...intentOf(ports), ...plugged], 1);
    const derived = new Set([...engine.rows()].map(rowText));
    const byHand = rowsFor(
      place,
      ports,
      hosts.map((_, at) => tunnelAddress(at + 1)),
    ).map(rowText);
    assert.deepEqual(
      byHand.filter((text) => !derived.has(text)),
      [],
    );
    // What is not written by hand: the link-local addresses, what precedes an address, the DHCP server's, and the way to the host's services.
    const rest = [...derived].filter((text) => !byHand.includes(text));
    assert.deepEqual(
      rest.filter(
        (text) => !/^metadata|^service_in|ingress=service|fe80::|=::|=0\.0\.0\.0|icmp6Type=136|02:5e:1f/.test(text),
      ),
      [],
    );
  });
}
