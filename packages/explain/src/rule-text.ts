/** Security group rules in words, and in which of its parts a packet does not meet one. */
import type { NearRule } from "@selvage/datapath";
import { AddressGroup, protocolOf, SecurityGroup, SecurityGroupRule, type View } from "@selvage/model";
import { probeText, type Question } from "./question.ts";

/** What words are made from: intent, and which of its objects may be named to whoever asked. */
export interface Words {
  readonly view: View;
  readonly sees: (object: { readonly project_id: string }) => boolean;
}

/** A group's or an address group's name, where it has one that may be told, or its id, which rules say anyway. */
function groupWord({ view, sees }: Words, resource: typeof SecurityGroup | typeof AddressGroup, id: string): string {
  const group = view.get(resource, id);
  return group === undefined || group.name === "" || !sees(group) ? id : group.name;
}

function serviceText({ protocol, port_range_min: min, port_range_max: max }: SecurityGroupRule): string {
  const name = protocol ?? "any protocol";
  if (min === null && max === null) return name;
  if (/icmp|^(1|58)$/i.test(name)) return `${name} type ${min ?? "any"}${max === null ? "" : ` code ${max}`}`;
  return `${name} ${min === max ? `port ${min}` : `ports ${min} to ${max}`}`;
}

function otherText(words: Words, rule: SecurityGroupRule): string {
  if (rule.remote_group_id !== null)
    return `members of security group ${groupWord(words, SecurityGroup, rule.remote_group_id)}`;
  if (rule.remote_address_group_id !== null)
    return `address group ${groupWord(words, AddressGroup, rule.remote_address_group_id)}`;
  return rule.normalized_cidr ?? "anybody";
}

/** `ingress IPv4 tcp port 443 from 10.0.0.0/24`. */
export const ruleText = (words: Words, rule: SecurityGroupRule): string =>
  `${rule.direction} ${rule.ethertype} ${serviceText(rule)} ${rule.direction === "ingress" ? "from" : "to"} ${otherText(words, rule)}`;

/** A rule that nearly let a packet pass. */
export interface NearText {
  readonly rule: SecurityGroupRule;
  readonly group: string;
  readonly text: string;
  /** Why it does not, a clause each. */
  readonly fails: readonly string[];
}

/** How many rules are told of. */
const most = 3;

/** The rules to which a visit came nearest, the nearest first; those that are gone, or are not to be told, are left out. */
export function nearTexts(
  words: Words,
  near: readonly NearRule[],
  { probe }: Pick<Question, "probe">,
): readonly NearText[] {
  const known = near.flatMap((each) => {
    const rule = words.view.by(SecurityGroupRule.index.key, String(each.rule))[0];
    return rule === undefined || !words.sees(rule) ? [] : [{ ...each, rule, distance: distanceOf(rule, each, probe) }];
  });
  known.sort((one, other) => one.distance - other.distance || one.rule.key - other.rule.key);
  return known.slice(0, most).map(({ rule, failing, verdict }) => {
    const fails = failing.map(({ part, clauses }) => failText(words, rule, part, clauses.length, probeText(probe)));
    if (verdict === undefined) fails.push("its rows are not all there");
    const group = groupWord(words, SecurityGroup, rule.security_group_id);
    return { rule, group, text: ruleText(words, rule), fails };
  });
}

/** What a rule fails in, the family before the number of parts, these before the protocol, and that before who is at the other side. */
function distanceOf(rule: SecurityGroupRule, { failing }: NearRule, probe: Question["probe"]): number {
  const parts = new Set(failing.map(({ part }) => part));
  const isFamily = (rule.ethertype === "IPv6" ? 6 : 4) === probe.version;
  const protocol = protocolOf(rule);
  const isProtocol = protocol === "any" || protocol === probe.protocol;
  return (isFamily ? 0 : 100) + 10 * parts.size + (parts.has("service") ? (isProtocol ? 2 : 5) : 0);
}

function failText(words: Words, rule: SecurityGroupRule, part: string, clauses: number, packet: string): string {
  switch (part) {
    case "service":
      return `it is for ${rule.ethertype} ${serviceText(rule)}, and this is ${packet}`;
    case "remote": {
      const end = rule.direction === "ingress" ? "sender" : "receiver";
      const none = clauses === 0 ? ", of which there are none" : "";
      return `it is for ${otherText(words, rule)}${none}, and the ${end} is none of them`;
    }
    default:
      return "it is for other groups";
  }
}
