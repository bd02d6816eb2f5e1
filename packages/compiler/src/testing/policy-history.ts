/** Random histories with security groups in them: ports come into sets and get address pairs, groups' rules and sets come and go, before and after each other. */
import {
  AddressGroup,
  type AddressPair,
  type Change,
  Network,
  networkKeyOf,
  Port,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupSet,
} from "@selvage/model";
import {
  type HistoryOptions,
  makeAddressGroup,
  makeSecurityGroup,
  makeSecurityGroupRule,
  makeSecurityGroupSet,
  put,
  randomHistory,
  remove,
  type Step,
  testId,
} from "@selvage/model/testing";
import fc from "fast-check";

/** What happens to security groups beside one step. */
interface Turn {
  readonly kind: number;
  readonly at: number;
  readonly value: number;
}

const turn: fc.Arbitrary<Turn> = fc.record({ kind: fc.nat(9), at: fc.nat(3), value: fc.nat(0xffff) });

const groupId = (at: number): string => testId("security group", at + 1);
const protocols = [null, "tcp", "udp", "icmp", "58", "sctp", "47", "no such"] as const;
const cidrs = { IPv4: ["10.0.0.0/8", "0.0.0.0/0"], IPv6: ["2001:db8::/32", "::/0"] } as const;

function ruleOf({ at, value }: Turn): SecurityGroupRule {
  const number = at * 4 + (value % 4);
  const ethertype = (value >> 2) % 2 === 0 ? "IPv4" : "IPv6";
  const protocol = protocols[(value >> 3) % protocols.length] ?? null;
  const hasPorts = protocol !== null && (value >> 6) % 2 === 0;
  const other = (value >> 7) % 5;
  return makeSecurityGroupRule({
    id: testId("rule", number + 1),
    key: number + 1,
    security_group_id: groupId((value >> 9) % 4),
    direction: (value >> 11) % 2 === 0 ? "ingress" : "egress",
    ethertype,
    protocol,
    port_range_min: hasPorts ? value % 7 : null,
    port_range_max: hasPorts ? 7 + (value % 90) : null,
    remote_group_id: other === 1 || other === 4 ? groupId((value >> 12) % 4) : null,
    remote_address_group_id: other === 2 ? testId("address group", 1) : null,
    normalized_cidr: other === 3 ? (cidrs[ethertype][(value >> 12) % 2] ?? null) : null,
  });
}

function setOf({ at, value }: Turn): SecurityGroupSet {
  const groups = [0, 1, 2, 3].filter((group) => (value >> group) % 2 === 1).map(groupId);
  return makeSecurityGroupSet({ id: testId("set", at + 1), key: at + 1, groups, stateful: value % 3 !== 0 });
}

function policyChange(each: Turn): Change {
  const { kind, at, value } = each;
  switch (kind) {
    case 0:
      return put(SecurityGroup, makeSecurityGroup({ id: groupId(at), stateful: value % 2 === 0 }));
    case 1:
      return put(
        AddressGroup,
        makeAddressGroup({
          id: testId("address group", 1),
          addresses: ["10.1.0.0/16", "2001:db8:1::/48"].slice(value % 3),
          generation: value % 5,
        }),
      );
    case 2:
      return remove(SecurityGroupSet, testId("set", at + 1));
    case 3:
      return remove(SecurityGroupRule, ruleOf(each).id);
    case 4:
    case 5:
    case 6:
      return put(SecurityGroupSet, setOf(each));
    default:
      return put(SecurityGroupRule, ruleOf(each));
  }
}

const pairs = (value: number): readonly AddressPair[] =>
  [
    { ip_address: "10.1.2.3", mac_address: "00:00:5e:00:01:01" },
    { ip_address: "10.0.0.0/12", mac_address: `fa:16:3e:00:00:0${value % 9}` },
    { ip_address: "2001:db8::77", mac_address: "00:00:5e:00:02:01" },
  ].slice(value % 4);

/** The change as it would be with security groups and pairs, and some networks on VXLAN. */
function policed(change: Change, { kind, at, value }: Turn): Change {
  const { object } = change;
  if (object === null) return change;
  // A change of a kind bears an object of it.
  if (change.kind === Network.kind) {
    const network = object as Network;
    const type = networkKeyOf(network) % 4 < 2 ? "vxlan" : "geneve";
    return put(Network, { ...network, "provider:network_type": type });
  }
  if (change.kind !== Port.kind) return change;
  const security_group_set = kind < 7 ? at + 1 : 0;
  return put(Port, { ...(object as Port), security_group_set, allowed_address_pairs: pairs(value) });
}

/** As `randomHistory`, with what happens to security groups between its steps. */
export const policyHistory = (options: HistoryOptions): fc.Arbitrary<readonly Step[]> =>
  fc
    .tuple(randomHistory(options), fc.array(turn, { minLength: 8, maxLength: 80, size: "max" }))
    .map(([steps, turns]) => {
      const turnAt = (at: number): Turn => turns[at % turns.length] ?? { kind: 0, at: 0, value: 0 };
      return steps.flatMap(({ name, changes }, at): readonly Step[] => [
        { name, changes: changes.map((each, n) => policed(each, turnAt(at + n))) },
        { name: `security groups ${at}`, changes: [policyChange(turnAt(at))] },
      ]);
    });
