/**
 * Security groups, their rules, address groups, and *sets*: the combination of groups that some port has, which is what travels with its packets
 * (Networking v2.0, `/v2.0/security-groups`, `/v2.0/security-group-rules`, `/v2.0/address-groups`; pipeline design, section 4).
 */
import { canonicalIp, parseCidrLoose } from "../address/mod.ts";
import { computed, field, reference, standardFields, taggedFields } from "../fields.ts";
import { protocolNumber, protocolOf } from "../protocols.ts";
import { keyOf, type ObjectOf, resource } from "../resource.ts";
import {
  boolean,
  cidr,
  dictionary,
  type FieldType,
  InvalidValue,
  integer,
  list,
  nullable,
  oneOf,
  show,
  text,
  uuid,
} from "../types.ts";

export const SecurityGroup = resource({
  kind: "security_group",
  plural: "security_groups",
  fields: {
    ...taggedFields(),
    /** False: its rules are asked of every packet, and replies need rules of their own. */
    stateful: field(boolean(), {
      create: "optional",
      update: "allowed",
      default: true,
      filter: true,
      sort: true,
      projected: "all",
    }),
    shared: computed(boolean(), { filter: true }),
    security_group_rules: computed(list(dictionary())),
  },
  unique: { default: (group) => (group.name === "default" ? [group.project_id] : []) },
});
export type SecurityGroup = ObjectOf<typeof SecurityGroup>;

/** Numbers of rules travel in 32 bits of a connection's label. */
export const ruleKeys = { first: 1, last: 0xfffffffe } as const;

/** A port's number, an ICMP type or an ICMP code; a type of its own name, for Neutron has an error of its own for what is none. */
const portNumber: FieldType<number> = { ...integer(0, 65_535), name: "port number" };

/** A name in small letters or a number, as text. */
const protocol: FieldType<string> = {
  name: "protocol",
  schema: { type: "string" },
  parse: (input) => {
    const given = typeof input === "number" || typeof input === "string" ? String(input).toLowerCase() : "";
    if (protocolNumber(given) === undefined) throw new InvalidValue(`'${show(input)}' is not a protocol.`);
    return given;
  },
};

/** An address, which is its own prefix, or a prefix as it was given: host bits stay. */
const prefix: FieldType<string | null> = {
  name: "ip prefix",
  schema: { anyOf: [{ type: "string" }, { type: "null" }] },
  parse: (input) => {
    if (input === null || input === "") return null;
    const [address = "", length] = typeof input === "string" ? input.split("/") : [];
    const ip = canonicalIp(address);
    const given = ip === undefined ? "" : `${ip}/${length ?? (ip.includes(":") ? 128 : 32)}`;
    if (parseCidrLoose(given) === undefined) throw new InvalidValue(`'${show(input)}' is not an IP prefix.`);
    return given;
  },
};

/** `ipv6` is IPv6. */
const ethertype = oneOf(["IPv4", "IPv6"]);
const anyCase: typeof ethertype = {
  ...ethertype,
  parse: (input) => ethertype.parse(typeof input === "string" ? input.replace(/^ipv(?=[46]$)/i, "IPv") : input),
};

const described = text(255);
const { name: _name, ...unnamed } = standardFields();

/** All that a rule says. */
export interface RuleSaying {
  readonly security_group_id: string;
  readonly direction: string;
  readonly ethertype: string;
  readonly protocol: string | null;
  readonly port_range_min: number | null;
  readonly port_range_max: number | null;
  readonly remote_group_id: string | null;
  readonly remote_address_group_id: string | null;
  readonly normalized_cidr: string | null;
}

/** Under which a rule stands by what it says: two of a group that say the same are one too many. A prefix of every address is as none (Neutron's `_rule_to_key`). */
export function sayingOf(rule: RuleSaying): string {
  const { security_group_id, direction, ethertype, port_range_min, port_range_max } = rule;
  const cidr = rule.normalized_cidr?.endsWith("/0") ? null : rule.normalized_cidr;
  return keyOf(
    ...[security_group_id, direction, ethertype, protocolOf(rule), port_range_min, port_range_max].map(String),
    ...[rule.remote_group_id, rule.remote_address_group_id, cidr].map(String),
  );
}

export const SecurityGroupRule = resource({
  kind: "security_group_rule",
  plural: "security_group_rules",
  fields: {
    ...unnamed,
    /** Null: of a rule that its group was made with. */
    description: field<string | null>(
      { ...nullable(described), parse: described.parse },
      { create: "optional", update: "allowed", default: "", filter: true },
    ),
    security_group_id: reference(uuid(), "security_group", "cascade", {
      create: "required",
      filter: true,
      sort: true,
      projected: "all",
    }),
    direction: field(oneOf(["ingress", "egress"]), { create: "required", filter: true, sort: true, projected: "all" }),
    ethertype: field(anyCase, {
      create: "optional",
      default: "IPv4",
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** A name or a number, as it was given; null: any. */
    protocol: field(nullable(protocol), {
      create: "optional",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** Of TCP, UDP and SCTP ports; of ICMP, the type. 0 is a value. */
    port_range_min: field(nullable(portNumber), {
      create: "optional",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** Of ICMP, the code. */
    port_range_max: field(nullable(portNumber), {
      create: "optional",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** Not held to the form of an id: one that names nobody is not found, whatever it looks like. */
    remote_group_id: reference(nullable(text(36)), "security_group", "cascade", {
      create: "optional",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    remote_address_group_id: reference(nullable(text(36)), "address_group", "refuse", {
      create: "optional",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** Null: any. */
    remote_ip_prefix: field(prefix, { create: "optional", default: null, filter: true, sort: true }),
    /** `remote_ip_prefix` with its host bits zero. */
    normalized_cidr: field(nullable(cidr()), { filter: true, sort: true, projected: "all" }),
    /** The rule's number in connections' labels and in rows. */
    key: field(integer(ruleKeys.first, ruleKeys.last), { readers: "hidden", projected: "all" }),
  },
  indexes: { saying: (rule) => [sayingOf(rule)] },
  unique: { key: (rule) => [String(rule.key)] },
});
export type SecurityGroupRule = ObjectOf<typeof SecurityGroupRule>;

const hidden = { readers: "hidden" } as const;
const standard = standardFields();

export const AddressGroup = resource({
  kind: "address_group",
  plural: "address_groups",
  fields: {
    ...standard,
    description: field(text(1024), { create: "optional", update: "allowed", default: "", filter: true, sort: true }),
    // Only the replies of its actions show these, as Neutron has it.
    revision_number: { ...standard.revision_number, ...hidden },
    created_at: { ...standard.created_at, ...hidden },
    updated_at: { ...standard.updated_at, ...hidden },
    /** In order, each once. */
    addresses: field(list(cidr(), 4096), { create: "optional", default: [], projected: "all" }),
    /** Grows, in 16 bits and around, whenever an address goes: connections that a rule let in before are judged again. */
    generation: field(integer(0, 65_535), { readers: "hidden", default: 0, projected: "all" }),
  },
});
export type AddressGroup = ObjectOf<typeof AddressGroup>;

/** Numbers of sets travel in 24 bits of the tunnel option; 0 is no set. */
export const setKeys = { first: 1, last: 0xffffff } as const;

/** Made in the transaction that gives a port a combination of groups that none had, removed in the one that takes the last port's. */
export const SecurityGroupSet = resource({
  kind: "security_group_set",
  plural: "security_group_sets",
  fields: {
    id: field(uuid(), { projected: "all" }),
    /** In order. None: a port that is policed and in no group, and so neither sends nor gets anything. */
    groups: reference(list(uuid()), "security_group", "refuse", { projected: "all" }),
    /** True when any of the groups is, or there is none. */
    stateful: field(boolean(), { projected: "all" }),
    key: field(integer(setKeys.first, setKeys.last), { projected: "all" }),
  },
  unique: { key: (set) => [String(set.key)], combination: (set) => [keyOf("groups", ...set.groups)] },
});
export type SecurityGroupSet = ObjectOf<typeof SecurityGroupSet>;
