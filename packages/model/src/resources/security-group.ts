/**
 * Security groups, their rules, address groups, and *sets*: the combination of groups that some port has, which is what travels with its packets
 * (Networking v2.0, `/v2.0/security-groups`, `/v2.0/security-group-rules`, `/v2.0/address-groups`; pipeline design, section 4).
 */
import { computed, field, reference, standardFields, taggedFields } from "../fields.ts";
import { keyOf, type ObjectOf, resource } from "../resource.ts";
import { boolean, cidr, dictionary, integer, list, nullable, oneOf, text, uuid } from "../types.ts";

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

const { name: _name, ...unnamed } = standardFields();

export const SecurityGroupRule = resource({
  kind: "security_group_rule",
  plural: "security_group_rules",
  fields: {
    ...unnamed,
    security_group_id: reference(uuid(), "security_group", "cascade", {
      create: "required",
      filter: true,
      sort: true,
      projected: "all",
    }),
    direction: field(oneOf(["ingress", "egress"]), { create: "required", filter: true, sort: true, projected: "all" }),
    ethertype: field(oneOf(["IPv4", "IPv6"]), {
      create: "optional",
      default: "IPv4",
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** A name or a number, as it was given; null: any. */
    protocol: field(nullable(text(40)), {
      create: "optional",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** Of TCP, UDP and SCTP ports; of ICMP, the type. 0 is a value. */
    port_range_min: field(nullable(integer(0, 65_535)), {
      create: "optional",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** Of ICMP, the code. */
    port_range_max: field(nullable(integer(0, 65_535)), {
      create: "optional",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    remote_group_id: reference(nullable(uuid()), "security_group", "cascade", {
      create: "optional",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    remote_address_group_id: reference(nullable(uuid()), "address_group", "refuse", {
      create: "optional",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** As it was given; null: any. */
    remote_ip_prefix: field(nullable(text(64)), { create: "optional", default: null, filter: true, sort: true }),
    /** `remote_ip_prefix` with its host bits zero. */
    normalized_cidr: field(nullable(cidr()), { projected: "all" }),
    /** The rule's number in connections' labels and in rows. */
    key: field(integer(ruleKeys.first, ruleKeys.last), { readers: "hidden", projected: "all" }),
  },
  unique: { key: (rule) => [String(rule.key)] },
});
export type SecurityGroupRule = ObjectOf<typeof SecurityGroupRule>;

export const AddressGroup = resource({
  kind: "address_group",
  plural: "address_groups",
  fields: {
    ...standardFields(),
    addresses: field(list(cidr(), 4096), { create: "optional", default: [], projected: "all" }),
    shared: computed(boolean(), { filter: true }),
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
