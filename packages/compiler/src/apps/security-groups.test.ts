/** Security groups by packets: what each kind of rule lets through and what it does not, on one host and two, by Geneve and VXLAN, over both families. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ReasonCode } from "@selvage/base";
import {
  arpRequest,
  dhcpDiscover,
  duplicateDetection,
  fragmentsOf,
  icmpError,
  neighbourAdvertisement,
  ping,
  sctp,
  tcp,
  udpBetween,
  udpToAll,
} from "@selvage/datapath/testing";
import { encode, TcpFlag } from "@selvage/packet";
import { fabric, type TestFabric } from "../testing/fabric.ts";
import { type Machine, type MachinePlan, type NetworkPlan, net } from "../testing/intent.ts";
import { anythingIn, anythingOut, type PolicyPlan, type RulePlan } from "../testing/policy.ts";

type Version = 4 | 6;
interface Place {
  readonly name: string;
  readonly far: string;
  readonly network: NonNullable<NetworkPlan["network"]>;
}

/** Where the second machine is, and how it is reached. The first is on h1. */
const places: readonly Place[] = [
  { name: "on one host", far: "h1", network: {} },
  { name: "on two hosts by Geneve", far: "h2", network: {} },
  { name: "on two hosts by VXLAN", far: "h2", network: { "provider:network_type": "vxlan" } },
];
const versions: readonly Version[] = [4, 6];

/** `a` on h1 and `b` beside it or on h2, in groups of their own names, with `c` beside `b` in none of these. */
async function world(
  place: Place,
  policy: PolicyPlan,
  more: Readonly<Record<string, MachinePlan>> = {},
): Promise<TestFabric> {
  const known = (name: string): readonly string[] => (name in policy.groups ? [name] : []);
  const machines = {
    a: { host: "h1", groups: known("a") },
    b: { host: place.far, groups: known("b") },
    c: { host: place.far, groups: known("c") },
    ...more,
  };
  return fabric({ hosts: 2, policy }, net("blue", machines, { network: place.network }));
}

const ports = { src: 40_000, dst: 80 };
const back = { src: 80, dst: 40_000 };

function udp(
  on: TestFabric,
  version: Version,
  from: string,
  to: string,
  between = ports,
): readonly string[] | ReasonCode {
  return sent(on, from, udpBetween(version, on.machine(from), on.machine(to), between));
}

/** Who got it, or why nobody did. */
function sent(on: TestFabric, from: string, frame: Uint8Array): readonly string[] | ReasonCode {
  const { delivered, drops } = on.send(from, frame);
  assert.ok(delivered.length === 0 || drops.length === 0 || drops.length + delivered.length > 1);
  const [reason] = drops;
  return delivered.length === 0 && reason !== undefined ? reason : delivered;
}

/** Rules over both families. */
const both = (rule: RulePlan): readonly RulePlan[] => versions.map((version) => ({ ...rule, version }));
const opened = (rules: readonly RulePlan[]) => ({ rules: [...anythingOut, ...rules] });

for (const place of places) {
  for (const version of versions) {
    describe(`${place.name}, IPv${version}`, () => {
      test("members of the default group reach each other, and of the rest only answers come in", async () => {
        const on = await world(
          place,
          { groups: { default: opened(anythingIn({ group: "default" })), c: opened([]) } },
          { a: { host: "h1", groups: ["default"] }, b: { host: place.far, groups: ["default"] } },
        );
        assert.deepEqual(udp(on, version, "a", "b"), ["b"]);
        assert.deepEqual(udp(on, version, "b", "a", { src: 1, dst: 2 }), ["a"]);
        assert.equal(udp(on, version, "c", "a"), "sg-default-deny-ingress");
        assert.equal(udp(on, version, "a", "c"), "sg-default-deny-ingress");
      });

      test("what a machine asks is answered, over UDP, TCP and ping, and nothing else comes in", async () => {
        const on = await world(place, { groups: { a: opened([]), b: { rules: anythingIn() }, c: opened([]) } });
        const [a, b] = [on.machine("a"), on.machine("b")];
        assert.equal(udp(on, version, "b", "a", back), "sg-default-deny-egress");
        assert.deepEqual(udp(on, version, "a", "b"), ["b"]);
        assert.deepEqual(udp(on, version, "b", "a", back), ["a"]);
        assert.equal(udp(on, version, "b", "a", { ...back, dst: 40_001 }), "sg-default-deny-egress");
        assert.equal(udp(on, version, "c", "a", back), "sg-default-deny-ingress");
        const { syn, ack } = TcpFlag;
        assert.deepEqual(sent(on, "a", tcp(version, a, b, { ...ports, flags: syn, seq: 1 })), ["b"]);
        assert.deepEqual(sent(on, "b", tcp(version, b, a, { ...back, flags: syn | ack, seq: 9, ack: 2 })), ["a"]);
        assert.deepEqual(sent(on, "a", tcp(version, a, b, { ...ports, flags: ack, seq: 2, ack: 10 })), ["b"]);
        assert.deepEqual(sent(on, "a", ping(version, "request", a, b, { id: 1 })), ["b"]);
        assert.deepEqual(sent(on, "b", ping(version, "reply", b, a, { id: 1 })), ["a"]);
        assert.equal(sent(on, "b", ping(version, "reply", b, a, { id: 2 })), "ct-invalid", "to nothing that was asked");
      });

      test("a stateless group's rules are asked of every packet, both ways", async () => {
        const asking: RulePlan = { direction: "egress", protocol: "udp", ports: [80, 80] };
        const answering: RulePlan = { direction: "egress", protocol: "udp", ports: [40_000, 40_000] };
        const into = (rule: RulePlan): RulePlan => ({ ...rule, direction: "ingress" });
        const on = await world(place, {
          groups: {
            a: { stateful: false, rules: both(asking) },
            b: { stateful: false, rules: [...both(into(asking)), ...both(answering)] },
          },
        });
        assert.deepEqual(udp(on, version, "a", "b"), ["b"]);
        assert.equal(udp(on, version, "b", "a", back), "sg-default-deny-ingress");
        on.police((policy) => both(into(answering)).flatMap((rule) => policy.addRule("a", rule).changes));
        assert.deepEqual(udp(on, version, "b", "a", back), ["a"]);
        on.police((policy) => policy.putGroup("a", true));
        on.police((policy) =>
          on
            .rulesOf("a")
            .slice(2)
            .flatMap((id) => policy.removeRule(id)),
        );
        assert.deepEqual(udp(on, version, "a", "b"), ["b"]);
        assert.deepEqual(udp(on, version, "b", "a", back), ["a"], "stateful now, it is an answer");
      });

      test("a rule that goes takes its connections with it, both ways, and one that fits lets them go on", async () => {
        const rule: RulePlan = { direction: "ingress", protocol: "udp", ports: [80, 80], version };
        const on = await world(place, { groups: { a: opened([]), b: { rules: [rule] } } });
        assert.deepEqual(udp(on, version, "a", "b"), ["b"]);
        assert.deepEqual(udp(on, version, "b", "a", back), ["a"]);
        on.police((policy) => on.rulesOf("b").flatMap((id) => policy.removeRule(id)));
        assert.equal(udp(on, version, "b", "a", back), "ct-rule-revoked");
        assert.equal(udp(on, version, "a", "b"), "sg-default-deny-ingress");
        on.police((policy) => policy.addRule("b", { direction: "ingress", version }).changes);
        assert.equal(udp(on, version, "b", "a", back), "ct-rule-revoked", "its opener has not spoken");
        assert.deepEqual(udp(on, version, "a", "b"), ["b"]);
        assert.deepEqual(udp(on, version, "b", "a", back), ["a"]);
      });

      test("an egress rule that goes takes its connections with it", async () => {
        const on = await world(place, { groups: { a: opened([]), b: { rules: anythingIn() } } });
        assert.deepEqual(udp(on, version, "a", "b"), ["b"]);
        on.police((policy) => on.rulesOf("a").flatMap((id) => policy.removeRule(id)));
        assert.equal(udp(on, version, "a", "b"), "sg-default-deny-egress");
        assert.equal(udp(on, version, "b", "a", back), "ct-rule-revoked");
      });

      test("a port that leaves the group that let it be reached is reached no more; one that another group lets in is", async () => {
        const on = await world(place, {
          groups: { a: opened([]), b: { rules: anythingIn() }, same: { rules: anythingIn() }, none: { rules: [] } },
        });
        assert.deepEqual(udp(on, version, "a", "b"), ["b"]);
        on.regroup("b", ["same"]);
        assert.deepEqual(udp(on, version, "a", "b"), ["b"]);
        assert.deepEqual(udp(on, version, "b", "a", back), ["a"]);
        on.regroup("b", ["none"]);
        assert.equal(udp(on, version, "b", "a", back), "ct-rule-revoked");
        assert.equal(udp(on, version, "a", "b"), "sg-default-deny-ingress");
      });

      test("a member that leaves a group that a rule names gets no further, whoever stays in it", async () => {
        const on = await world(
          place,
          { groups: { a: opened([]), b: { rules: anythingIn({ group: "a" }) }, other: opened([]) } },
          { stays: { host: "h1", groups: ["a"] } },
        );
        assert.deepEqual(udp(on, version, "a", "b"), ["b"]);
        assert.deepEqual(udp(on, version, "b", "a", back), ["a"]);
        assert.deepEqual(udp(on, version, "stays", "b"), ["b"]);
        on.regroup("a", ["other"]);
        assert.equal(udp(on, version, "a", "b"), "sg-default-deny-ingress");
        assert.deepEqual(udp(on, version, "stays", "b"), ["b"]);
        on.regroup("a", ["other", "a"]);
        assert.deepEqual(udp(on, version, "a", "b"), ["b"], "a combination that is new");
        assert.deepEqual(udp(on, version, "b", "a", back), ["a"]);
      });

      test("when a combination of groups has no port any more, nothing more is sent to who was of it either", async () => {
        const on = await world(
          place,
          { groups: { a: { rules: [] }, out: opened(anythingIn()), b: { rules: anythingIn({ group: "a" }) } } },
          { a: { host: "h1", groups: ["a", "out"] }, stays: { host: "h1", groups: ["a"] } },
        );
        assert.deepEqual(udp(on, version, "a", "b"), ["b"]);
        assert.deepEqual(udp(on, version, "b", "a", back), ["a"]);
        on.regroup("a", ["out"]);
        assert.equal(udp(on, version, "b", "a", back), "ct-rule-revoked");
      });

      test("an egress rule names a group: its members are reached, by their addresses, and answer", async () => {
        const out: readonly RulePlan[] = both({ direction: "egress", group: "b" });
        const on = await world(place, {
          groups: { a: { rules: out }, b: { rules: anythingIn() }, c: { rules: anythingIn() } },
        });
        assert.deepEqual(udp(on, version, "a", "b"), ["b"]);
        assert.deepEqual(udp(on, version, "b", "a", back), ["a"]);
        assert.equal(udp(on, version, "a", "c"), "sg-default-deny-egress");
        on.regroup("b", ["c"]);
        assert.equal(udp(on, version, "a", "b"), "sg-default-deny-egress");
        assert.equal(udp(on, version, "b", "a", back), "ct-rule-revoked");
        on.regroup("c", ["b"]);
        assert.deepEqual(udp(on, version, "a", "c"), ["c"]);
      });

      test("an address of a pair is its holders', where they are of one set", async () => {
        const ip_address = version === 4 ? "10.0.0.200" : "2001:db8::c8";
        const port = (key: number) => ({
          allowed_address_pairs: [{ ip_address, mac_address: `fa:16:3e:00:00:0${key}` }],
        });
        const on = await world(
          place,
          {
            groups: {
              a: { rules: both({ direction: "egress", group: "b" }) },
              b: opened(anythingIn()),
              c: opened(anythingIn({ group: "b" })),
            },
          },
          {
            b: { host: place.far, groups: ["b"], port: port(2) },
            c: { host: "h1", groups: ["c"] },
            twin: { host: "h1", groups: ["b"], port: port(4) },
          },
        );
        const [a, b, c] = [on.machine("a"), on.machine("b"), on.machine("c")];
        const holder: Machine = { ...b, [version === 4 ? "ip4" : "ip6"]: ip_address };
        assert.deepEqual(sent(on, "a", udpBetween(version, a, holder, ports)), ["b"]);
        assert.deepEqual(sent(on, "b", udpBetween(version, holder, a, back)), ["a"]);
        assert.deepEqual(sent(on, "b", udpBetween(version, holder, c, ports)), ["c"]);
        on.regroup("twin", ["c"]);
        assert.equal(sent(on, "a", udpBetween(version, a, holder, { src: 1, dst: 2 })), "sg-default-deny-egress");
      });

      test("prefixes and address groups name the other side, and an address that goes cuts what came by it", async () => {
        const from = (machine: Machine): string => (version === 4 ? `${machine.ip4}/32` : `${machine.ip6}/128`);
        const bare = await world(place, { groups: {} });
        const [first, third] = [from(bare.machine("a")), from(bare.machine("c"))];
        const on = await world(place, {
          addressGroups: { office: [first, third] },
          groups: {
            a: opened([]),
            c: opened([]),
            b: {
              rules: [
                { direction: "ingress", version, addressGroup: "office" },
                { direction: "ingress", version, cidr: third, protocol: "udp", ports: [7, 7] },
              ],
            },
          },
        });
        assert.deepEqual([udp(on, version, "a", "b"), udp(on, version, "c", "b")], [["b"], ["b"]]);
        on.police((policy) => policy.putAddresses("office", [first, third, "203.0.113.0/24"]));
        assert.deepEqual(udp(on, version, "b", "a", back), ["a"], "one more changes nothing for those before");
        on.police((policy) => policy.putAddresses("office", [third]));
        assert.equal(udp(on, version, "b", "a", back), "ct-rule-revoked");
        assert.equal(udp(on, version, "a", "b"), "sg-default-deny-ingress");
        assert.deepEqual(udp(on, version, "c", "b"), ["b"]);
        on.police((policy) => policy.putAddresses("office", []));
        assert.equal(udp(on, version, "c", "b"), "sg-default-deny-ingress");
        assert.deepEqual(udp(on, version, "c", "b", { src: 9, dst: 7 }), ["b"], "by its prefix");
      });

      test("an ICMP error about a connection passes while that may go on, and one about none does not", async () => {
        const on = await world(place, {
          groups: { a: opened([]), b: { rules: anythingIn({ group: "a" }) }, c: opened([]) },
        });
        const [a, b] = [on.machine("a"), on.machine("b")];
        const type = version === 4 ? 3 : 1;
        const asked = udpBetween(version, a, b, ports);
        const error = icmpError(version, b, a, { type, code: version === 4 ? 3 : 4, about: asked });
        assert.notDeepEqual(sent(on, "b", error), ["a"], "about nothing that was said");
        assert.deepEqual(sent(on, "a", asked), ["b"]);
        assert.deepEqual(sent(on, "b", error), ["a"]);
        const answer = udpBetween(version, b, a, back);
        assert.deepEqual(sent(on, "b", answer), ["a"]);
        assert.deepEqual(sent(on, "a", icmpError(version, a, b, { type, code: 0, about: answer })), ["b"]);
        on.police((policy) => on.rulesOf("b").flatMap((id) => policy.removeRule(id)));
        assert.equal(sent(on, "b", error), "ct-rule-revoked");
      });

      test("fragments of what is let in arrive, all of them, and none of what is not", async () => {
        const on = await world(place, {
          groups: {
            a: opened([]),
            b: { rules: [{ direction: "ingress", version, protocol: "udp", ports: [80, 80] }] },
            c: { stateful: false, rules: [{ direction: "ingress", version, protocol: "udp", ports: [80, 80] }] },
            whole: { rules: [{ direction: "ingress", version, protocol: "udp" }] },
            wholeLoose: { stateful: false, rules: [{ direction: "ingress", version, protocol: "udp" }] },
          },
        });
        const datagram = (to: string, dst: number) =>
          udpBetween(version, on.machine("a"), on.machine(to), { src: 40_000, dst }, new Uint8Array(2_000));
        const pieces = (to: string, dst: number, id: number) =>
          fragmentsOf(datagram(to, dst), pieceSize, id).map((piece) => on.send("a", piece));
        const got = (to: string, dst: number, id: number) => pieces(to, dst, id).flatMap(({ delivered }) => delivered);
        assert.deepEqual(got("b", 80, 1), ["b", "b"]);
        assert.deepEqual(got("b", 80, 2), ["b", "b"], "of a known connection");
        assert.deepEqual(got("b", 81, 3), []);
        assert.deepEqual(got("c", 80, 4), ["c", "c"]);
        assert.deepEqual(
          got("c", 81, 5),
          ["c"],
          "a later fragment is of whatever its protocol may be; the first never comes",
        );
      });

      test("ICMP type and code of a rule, 0 among them", async () => {
        const isV4 = version === 4;
        const icmp = isV4 ? "icmp" : "ipv6-icmp";
        const answer = isV4 ? 0 : 129;
        const on = await world(place, {
          groups: {
            a: { stateful: false, rules: both({ direction: "egress" }) },
            b: { stateful: false, rules: [{ direction: "ingress", version, protocol: icmp, ports: [answer, 0] }] },
            c: { rules: [{ direction: "ingress", version, protocol: icmp, ports: [isV4 ? 8 : 128, null] }] },
          },
        });
        const [a, b, c] = [on.machine("a"), on.machine("b"), on.machine("c")];
        assert.deepEqual(sent(on, "a", ping(version, "reply", a, b, { id: 1 })), ["b"]);
        assert.equal(sent(on, "a", ping(version, "request", a, b, { id: 1 })), "sg-default-deny-ingress");
        assert.deepEqual(sent(on, "a", ping(version, "request", a, c, { id: 1 })), ["c"]);
        assert.equal(sent(on, "a", ping(version, "reply", a, c, { id: 2 })), "ct-invalid");
        const large = (id: number, to: Machine, kind: "request" | "reply") =>
          fragmentsOf(pingOfSize(version, kind, a, to, id), pieceSize, id).flatMap(
            (piece) => on.send("a", piece).delivered,
          );
        assert.deepEqual(large(3, c, "request"), ["c", "c"]);
        assert.deepEqual(large(4, c, "reply"), []);
      });

      test("protocols by number, and SCTP by its ports", async () => {
        const on = await world(place, {
          groups: {
            a: opened([]),
            b: {
              rules: [
                { direction: "ingress", version, protocol: "47" },
                { direction: "ingress", version, protocol: "sctp", ports: [80, 90] },
              ],
            },
          },
        });
        const [a, b] = [on.machine("a"), on.machine("b")];
        const bare = (protocol: number): Uint8Array =>
          version === 4
            ? encode({
                eth: { src: a.mac, dst: b.mac },
                ipv4: { src: a.ip4, dst: b.ip4, protocol },
                payload: new Uint8Array(8),
              })
            : encode({
                eth: { src: a.mac, dst: b.mac },
                ipv6: { src: a.ip6, dst: b.ip6, protocol },
                payload: new Uint8Array(8),
              });
        assert.deepEqual(sent(on, "a", bare(47)), ["b"]);
        assert.equal(sent(on, "a", bare(48)), "sg-default-deny-ingress");
        assert.equal(sent(on, "a", sctp(version, a, b, { src: 5, dst: 91 })), "sg-default-deny-ingress");
        assert.deepEqual(sent(on, "a", sctp(version, a, b, { src: 5, dst: 90 })), ["b"]);
      });

      test("broadcast and multicast are policed, at the sender and at each receiver", async () => {
        const on = await world(place, {
          groups: { a: opened([]), b: { rules: anythingIn({ group: "a" }) }, c: { rules: anythingIn({ group: "c" }) } },
        });
        assert.deepEqual(on.send("a", udpToAll(version, on.machine("a"), 1)).delivered, ["b"]);
        assert.deepEqual(
          [...new Set(on.send("a", udpToAll(version, on.machine("a"), 1)).drops)],
          ["sg-default-deny-ingress"],
        );
        assert.deepEqual(on.send("b", udpToAll(version, on.machine("b"), 1)).drops, ["sg-default-deny-egress"]);
      });

      test("a port in no group sends and gets nothing but what a network cannot be without", async () => {
        const on = await world(place, { groups: { b: { rules: [...anythingOut, ...anythingIn()] } } });
        const [a, b] = [on.machine("a"), on.machine("b")];
        assert.equal(udp(on, version, "a", "b"), "sg-default-deny-egress");
        assert.equal(udp(on, version, "b", "a"), "sg-default-deny-ingress");
        assert.deepEqual(on.send("a", arpRequest(a, b.ip4)).delivered, ["a"]);
        assert.deepEqual([...on.send("b", arpRequest(b, b.ip4)).delivered].sort(), ["a", "c"]);
        assert.deepEqual([...on.send("b", duplicateDetection(b, b.ip6)).delivered].sort(), ["a", "c"]);
        assert.deepEqual([...on.send("a", neighbourAdvertisement(a, a.ip6)).delivered].sort(), ["b", "c"]);
        assert.deepEqual(on.send("a", dhcpDiscover(a.mac, 1)).punts.length, 1);
      });

      test("a port without port security is not policed, nor one that lost it", async () => {
        const on = await world(
          place,
          { groups: { a: opened([]), b: { rules: [] } } },
          { open: { host: place.far, port: { port_security_enabled: false } } },
        );
        assert.deepEqual(udp(on, version, "a", "open"), ["open"]);
        assert.equal(udp(on, version, "open", "b"), "sg-default-deny-ingress");
        assert.equal(udp(on, version, "a", "b"), "sg-default-deny-ingress");
        on.regroup("b", undefined);
        on.set("b", { port_security_enabled: false });
        assert.deepEqual([udp(on, version, "a", "b"), udp(on, version, "open", "b")], [["b"], ["b"]]);
      });

      test("a port in a stateless and a stateful group is tracked, and no fragment opens what its ports may not", async () => {
        const on = await world(
          place,
          {
            groups: {
              a: opened([]),
              b: { rules: [] },
              loose: { stateful: false, rules: [{ direction: "ingress", version, protocol: "udp", ports: [80, 80] }] },
            },
          },
          { b: { host: place.far, groups: ["b", "loose"] } },
        );
        assert.deepEqual(udp(on, version, "a", "b"), ["b"]);
        assert.deepEqual(udp(on, version, "b", "a", back), ["a"], "an answer, with no rule out");
        const datagram = udpBetween(
          version,
          on.machine("a"),
          on.machine("b"),
          { src: 1, dst: 22 },
          new Uint8Array(2_000),
        );
        for (const piece of fragmentsOf(datagram, pieceSize, 7)) assert.deepEqual(on.send("a", piece).delivered, []);
        assert.equal(udp(on, version, "a", "b", { src: 1, dst: 22 }), "sg-default-deny-ingress");
      });
    });
  }
}

/** Bytes of a fragment behind its headers: the switch takes no smaller ones where connections are tracked. */
const pieceSize = 1_240;

/** An echo request or answer with so much behind it that it is sent in fragments. */
function pingOfSize(version: Version, kind: "request" | "reply", from: Machine, to: Machine, id: number): Uint8Array {
  const eth = { src: from.mac, dst: to.mac };
  const message = { kind: `echo-${kind}`, id, sequence: 1 } as const;
  const payload = new Uint8Array(2_000);
  return version === 4
    ? encode({ eth, ipv4: { src: from.ip4, dst: to.ip4 }, icmp: message, payload })
    : encode({ eth, ipv6: { src: from.ip6, dst: to.ip6 }, icmpv6: message, payload });
}
