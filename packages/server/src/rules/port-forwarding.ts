/**
 * Ports of a floating IP that stand for machines' ports (Networking v2.0, `/v2.0/floatingips/{id}/port_forwardings`; extensions `floating-ip-port-forwarding`,
 * `-detail`, `-description`, `-port-ranges`). Each port outside stands for the one as far on inside.
 */
import { fail } from "@selvage/base";
import {
  FloatingIp,
  type FloatingIp as FloatingIpObject,
  Port,
  PortForwarding,
  type PortForwarding as PortForwardingObject,
  type PortSpan,
  spanOfRange,
  type View,
} from "@selvage/model";
import { anyOf, isAdmin, member, reader } from "../api/policy.ts";
import { checkSegment, routerFor, settleForwarded } from "./floating-ip.ts";
import type { ResourceRules, Values, Writing } from "./rules.ts";

const owner = anyOf(isAdmin, member);
const bad = (msg: string) => fail("BadRequest", { resource: "port_forwarding", msg });

/** Ports of one floating IP that are forwarded at most: each is two rows on its machine's host. */
const mostPorts = 1_024;

/** The port, where a forwarding is of one alone. */
const single = (first: number, last: number): number | null => (first === last ? first : null);

export const portForwardingRules: ResourceRules<typeof PortForwarding> = {
  resource: PortForwarding,
  policyName: "floatingip_port_forwarding",
  notFound: (id) => fail("PortForwardingNotFound", { id }),
  policy: { get: anyOf(isAdmin, reader), create: owner, update: owner, delete: owner, attributes: {} },
  target: (view, object) => ({ projectId: view.get(FloatingIp, String(object.floatingip_id))?.project_id ?? "" }),
  computed: {
    external_port: ({ external_first, external_last }) => single(external_first, external_last),
    external_port_range: ({ external_first, external_last }) => `${external_first}:${external_last}`,
    internal_port: ({ internal_first, internal_last }) => single(internal_first, internal_last),
    internal_port_range: ({ internal_first, internal_last }) => `${internal_first}:${internal_last}`,
  },
  create: (writing, values) => {
    const floating = floatingOf(writing.transaction.view, values);
    const outside = spanIn(values, "external");
    const inside = spanIn(values, "internal");
    if (outside === undefined) throw bad("Either external_port or external_port_range must be specified");
    if (inside === undefined) throw bad("Either internal_port or internal_port_range must be specified");
    const forwarding: PortForwardingObject = {
      id: writing.transaction.newId(),
      floatingip_id: floating.id,
      external_first: outside.first,
      external_last: outside.last,
      internal_first: inside.first,
      internal_last: inside.last,
      // Converted by the fields' own types.
      protocol: values.protocol as PortForwardingObject["protocol"],
      internal_port_id: String(values.internal_port_id),
      internal_ip_address: String(values.internal_ip_address),
      description: String(values.description),
    };
    return checkedPut(writing, floating, forwarding);
  },
  update: (writing, before, values) => {
    const floating = floatingOf(writing.transaction.view, { floatingip_id: before.floatingip_id });
    const outside = spanIn(values, "external") ?? { first: before.external_first, last: before.external_last };
    const inside = spanIn(values, "internal") ?? { first: before.internal_first, last: before.internal_last };
    const { protocol, internal_port_id, internal_ip_address, description } = { ...before, ...values };
    return checkedPut(writing, floating, {
      ...before,
      protocol,
      internal_port_id,
      internal_ip_address,
      description,
      external_first: outside.first,
      external_last: outside.last,
      internal_first: inside.first,
      internal_last: inside.last,
    });
  },
  remove: ({ transaction }, forwarding, precondition) => {
    precondition();
    transaction.remove(PortForwarding, forwarding.id);
    settleForwarded(transaction, forwarding.floatingip_id);
  },
};

export const forwardingsOf = (view: View, floatingIpId: string): readonly PortForwardingObject[] =>
  view.by(PortForwarding.index.floatingip_id, floatingIpId);

/** As a floating IP shows it (`expose-port-forwarding-in-fip`). */
export function shownIn(forwarding: PortForwardingObject): Values {
  const { id, protocol, internal_ip_address, internal_port_id } = forwarding;
  const [inside, outside] = [
    single(forwarding.internal_first, forwarding.internal_last),
    single(forwarding.external_first, forwarding.external_last),
  ];
  return {
    id,
    protocol,
    internal_ip_address,
    internal_port_id,
    ...(inside === null ? {} : { internal_port: inside }),
    ...(outside === null ? {} : { external_port: outside }),
  };
}

function floatingOf(view: View, { floatingip_id }: Values): FloatingIpObject {
  const floating = view.get(FloatingIp, String(floatingip_id));
  if (floating === undefined) throw fail("FloatingIPNotFound", { floatingip_id: String(floatingip_id) });
  return floating;
}

/** The ports that a request names on one side; undefined: none. Throws BadRequest when it names two kinds of them. */
function spanIn(values: Values, side: "external" | "internal"): PortSpan | undefined {
  const [port, range] = [values[`${side}_port`] ?? undefined, values[`${side}_port_range`] ?? undefined];
  if (port !== undefined && range !== undefined && range !== `${String(port)}:${String(port)}`)
    throw bad(`${side}_port and ${side}_port_range must not differ`);
  if (typeof port === "number") return { first: port, last: port };
  return typeof range === "string" ? spanOfRange(range) : undefined;
}

/** Puts a forwarding that may stand beside the others. Throws what stands against it; its floating IP becomes the router's that the machine is reached by. */
function checkedPut(
  writing: Writing,
  floating: FloatingIpObject,
  forwarding: PortForwardingObject,
): PortForwardingObject {
  const { transaction } = writing;
  const { view } = transaction;
  if (floating.port_id !== null) {
    throw fail("FloatingIPPortAlreadyAssociated", {
      port_id: forwarding.internal_port_id,
      fip_id: floating.id,
      floating_ip_address: floating.floating_ip_address,
      fixed_ip: forwarding.internal_ip_address,
      net_id: floating.floating_network_id,
    });
  }
  const { external_first, external_last, internal_first, internal_last } = forwarding;
  if (external_last - external_first !== internal_last - internal_first)
    throw bad("The internal and the external port range must have the same size");
  checkCount(view, forwarding);
  const router_id = reachedBy(writing, floating, forwarding);
  checkCollisions(view, forwarding);
  if (floating.router_id !== router_id) {
    const isAlone = forwardingsOf(view, floating.id).every(({ id }) => id === forwarding.id);
    if (floating.router_id !== null && !isAlone)
      throw bad(
        `Floating IP ${floating.id} leads through router ${floating.router_id}, and port ${forwarding.internal_port_id} does not`,
      );
    transaction.put(FloatingIp, { ...floating, router_id });
  }
  return transaction.put(PortForwarding, forwarding);
}

/** The router by which the machine is reached. Throws PortNotFound, PortHasBindingFloatingIP, BadRequest. */
function reachedBy(
  { transaction, caller }: Writing,
  floating: FloatingIpObject,
  { internal_port_id, internal_ip_address }: PortForwardingObject,
): string {
  const { view } = transaction;
  const port = view.get(Port, internal_port_id);
  const isVisible = caller.roles.has("admin") || port?.project_id === caller.projectId;
  if (port === undefined || !isVisible) throw fail("PortNotFound", { id: internal_port_id });
  const [bound] = view.by(FloatingIp.index.port_id, port.id);
  if (bound !== undefined) {
    const { id: fip_id, floating_ip_address } = bound;
    throw fail("PortHasBindingFloatingIP", {
      floating_ip_address,
      fip_id,
      port_id: port.id,
      fixed_ip: internal_ip_address,
    });
  }
  const fixed = port.fixed_ips.find(({ ip_address }) => ip_address === internal_ip_address);
  if (fixed === undefined || internal_ip_address.includes(":")) {
    const valid = port.fixed_ips.map(({ ip_address }) => ip_address).filter((address) => !address.includes(":"));
    throw bad(
      `Requested internal IP address ${internal_ip_address} is not valid for port ${port.id}, whose IPv4 addresses are ${valid.join(", ")}`,
    );
  }
  const router = routerFor(view, port, fixed, floating.floating_network_id);
  checkSegment(view, floating, router);
  return router;
}

/** Throws BadRequest when more ports of the floating IP would be forwarded than may be. */
function checkCount(view: View, forwarding: PortForwardingObject): void {
  const others = forwardingsOf(view, forwarding.floatingip_id).filter(({ id }) => id !== forwarding.id);
  const count = (sum: number, { external_first, external_last }: PortForwardingObject) =>
    sum + external_last - external_first + 1;
  const [before, added] = [others.reduce(count, 0), count(0, forwarding)];
  if (before + added <= mostPorts) return;
  throw bad(
    `The external_port_range has ${added} ports, and ${before} of the floating IP are forwarded already: ${mostPorts} may be`,
  );
}

/** Throws BadRequest when a port outside, or a machine's, is spoken for by another forwarding of the floating IP. */
function checkCollisions(view: View, forwarding: PortForwardingObject): void {
  const others = forwardingsOf(view, forwarding.floatingip_id).filter(
    ({ id, protocol }) => id !== forwarding.id && protocol === forwarding.protocol,
  );
  for (const other of others) {
    refuseClash("external_port_range", outsideOf(forwarding), outsideOf(other));
    const isSameMachine =
      other.internal_port_id === forwarding.internal_port_id &&
      other.internal_ip_address === forwarding.internal_ip_address;
    if (isSameMachine) refuseClash("internal_port_range", insideOf(forwarding), insideOf(other));
  }
}

const outsideOf = (each: PortForwardingObject): PortSpan => ({ first: each.external_first, last: each.external_last });
const insideOf = (each: PortForwardingObject): PortSpan => ({ first: each.internal_first, last: each.internal_last });

function refuseClash(what: string, one: PortSpan, other: PortSpan): void {
  if (one.last < other.first || other.last < one.first) return;
  throw bad(
    `There is a port collision with the ${what}. The following ranges collides: ${other.first}:${other.last} and ${one.first}:${one.last}`,
  );
}
