/** Flows and groups as one line of text each, in the words of ovs-ofctl(8): for people, for golden tests, and to compare what is with what should be. */
import { ipFrom, macFrom, textOfIp, textOfMac } from "@selvage/model";
import {
  type Action,
  type Bucket,
  canonicalMatch,
  type FieldMatch,
  type FieldName,
  type FieldValue,
  type GroupDescription,
  type Nat,
  Port,
  type RawField,
  type Subfield,
  subfield,
} from "@selvage/openflow";

const macs: ReadonlySet<string> = new Set(["eth_src", "eth_dst", "arp_sha", "arp_tha", "nd_sll", "nd_tll"]);
const ip4s: ReadonlySet<string> = new Set(["ipv4_src", "ipv4_dst", "arp_spa", "arp_tpa", "tun_src", "tun_dst"]);
const ip6s: ReadonlySet<string> = new Set(["ipv6_src", "ipv6_dst", "nd_target", "tun_ipv6_src", "tun_ipv6_dst"]);
const decimals: ReadonlySet<string> = new Set([
  "in_port",
  "ip_proto",
  "ct_zone",
  "nw_ttl",
  "conj_id",
  "udp_src",
  "udp_dst",
  "tcp_src",
  "tcp_dst",
  "sctp_src",
  "sctp_dst",
  "icmp_type",
  "icmp_code",
  "icmpv6_type",
  "icmpv6_code",
  "arp_op",
]);

function valueText(field: FieldName, value: FieldValue): string {
  if (value instanceof Uint8Array) {
    // The switch leaves out leading bytes that are zero, and so all of a value of zero.
    return `0x${Buffer.from(value).toString("hex").replace(/^0+/, "") || "0"}`;
  }
  if (macs.has(field)) return textOfMac(macFrom(Number(value)));
  if (ip4s.has(field)) return textOfIp(ipFrom(4, BigInt(value)));
  if (ip6s.has(field)) return textOfIp(ipFrom(6, BigInt(value)));
  if (decimals.has(field)) return String(value);
  return `0x${value.toString(16)}`;
}

function itemText(item: FieldMatch | RawField): string {
  if (item.field === "raw") return `raw(${Buffer.from(item.oxm).toString("hex")})`;
  const mask = item.mask === undefined ? "" : `/${valueText(item.field, item.mask)}`;
  return `${item.field}=${valueText(item.field, item.value)}${mask}`;
}

/** A match in canonical order: equal matches are equal texts, whichever way the switch tells them. */
export const matchText = (match: readonly (FieldMatch | RawField)[]): string =>
  canonicalMatch(match).map(itemText).join(",");

function subfieldText(part: Subfield): string {
  const whole = subfield(part.field);
  if (part.offset === 0 && part.bits === whole.bits) return part.field;
  return `${part.field}[${part.offset}..${part.offset + part.bits - 1}]`;
}

const portText = (port: number): string =>
  port === Port.inPort ? "IN_PORT" : port === Port.controller ? "CONTROLLER" : String(port);

/** Every action that the driver writes, and any other whole, so that two lists are equal exactly when their texts are. */
function actionText(action: Action): string {
  switch (action.kind) {
    case "output":
      return `output:${portText(action.port)}${action.maxLength === 0 ? "" : `(${action.maxLength})`}`;
    case "setField": {
      const { set } = action;
      if (set.field === "raw") return `set_field:${itemText(set)}`;
      const mask = set.mask === undefined ? "" : `/${valueText(set.field, set.mask)}`;
      return `set_field:${valueText(set.field, set.value)}${mask}->${set.field}`;
    }
    case "copyField":
      return `move:${subfieldText(action.source)}->${subfieldText(action.destination)}`;
    case "resubmit":
      if (action.tuple !== "packet" || action.inPort !== 0xfff8) return whole(action);
      return `resubmit(,${action.table})`;
    case "group":
      return `group:${action.group}`;
    case "meter":
      return `meter:${action.meter}`;
    case "controller":
      if (action.flow !== "continue" || action.controllerId !== 0 || action.reason !== 1 || action.maxLength !== 0xffff)
        return whole(action);
      return `controller(userdata=${Buffer.from(action.userdata).toString("hex")}${action.meter === 0 ? "" : `,meter=${action.meter}`})`;
    case "conjunction":
      return `conjunction(${action.id},${action.clause + 1}/${action.of})`;
    case "clone":
      return `clone(${action.actions.map(actionText).join(",")})`;
    case "decTtl":
      return "dec_ttl";
    case "ctClear":
      return "ct_clear";
    case "popVlan":
      return "pop_vlan";
    case "pushVlan":
      return `push_vlan:0x${action.etherType.toString(16)}`;
    case "nat":
      return natText(action);
    case "ct": {
      const { zone } = action;
      if (action.helper !== 0 || zone.kind !== "field" || action.mode === "commitForce") return whole(action);
      const parts = [
        ...(action.mode === "commit" ? ["commit"] : []),
        ...(action.recircTable === null ? [] : [`table=${action.recircTable}`]),
        `zone=${subfieldText(zone.source)}`,
        ...(action.actions.length === 0 ? [] : [`exec(${action.actions.map(actionText).join(",")})`]),
      ];
      return `ct(${parts.join(",")})`;
    }
    default:
      return whole(action);
  }
}

function natText(action: Nat): string {
  const { direction, address, ports, persistent, choice } = action;
  if (direction === "none") return address === null && ports === null ? "nat" : whole(action);
  const isUsual = direction === "source" && !persistent && choice === "default";
  if (!isUsual || address === null || address.max !== null) return whole(action);
  const range = ports === null ? "" : `:${ports.min}-${ports.max ?? ports.min}`;
  return `nat(src=${textOfIp(ipFrom(address.version, BigInt(address.min)))}${range})`;
}

const whole = (action: Action): string =>
  `${action.kind}${JSON.stringify(action, (_, value: unknown) =>
    typeof value === "bigint"
      ? `0x${value.toString(16)}`
      : value instanceof Uint8Array
        ? Buffer.from(value).toString("hex")
        : value,
  )}`;

/** A list of actions; `drop` for the empty one. */
export const actionsText = (actions: readonly Action[]): string =>
  actions.length === 0 ? "drop" : actions.map(actionText).join(",");

/** The clauses in the text of actions, each as `actionsText` writes it. */
export const clauseTextsIn = (text: string): readonly string[] => text.match(/conjunction\(\d+,\d+\/\d+\)/g) ?? [];

/** `table=30, priority=100, <match> actions=<actions>`. */
export function flowText(flow: {
  readonly table: number;
  readonly priority: number;
  readonly match: readonly (FieldMatch | RawField)[];
  readonly actions: readonly Action[];
}): string {
  const match = matchText(flow.match);
  return `table=${flow.table}, priority=${flow.priority}${match === "" ? "" : `,${match}`} actions=${actionsText(flow.actions)}`;
}

/** `bucket=bucket_id:7,actions=<actions>`, with what else the bucket has. */
export function bucketText(bucket: Bucket): string {
  const also = [
    bucket.weight === null ? "" : `,weight:${bucket.weight}`,
    bucket.watchPort === null ? "" : `,watch_port:${bucket.watchPort}`,
    bucket.watchGroup === null ? "" : `,watch_group:${bucket.watchGroup}`,
  ];
  return `bucket=bucket_id:${bucket.id}${also.join("")},actions=${actionsText(bucket.actions)}`;
}

/** What of a group is compared besides its buckets: whether a packet goes to all of them or to one, and by which fields that is chosen. */
export function choiceText({ type, selection }: Pick<GroupDescription, "type" | "selection">): string {
  if (selection === null || selection.method === "") return `type=${type}`;
  const by = canonicalMatch(selection.fields).map(({ field }) => field);
  return `type=${type},selection_method=${selection.method},fields(${by.join(",")})`;
}
