/** Which subnets a router's interface advertises (RFC 4861 section 6.2.1): the switch punts solicitations, and the agent answers them, by the same rule. */
import { type Port, type QueryingView, query, Router, Subnet, type View } from "@selvage/model";

const advertises = query("router advertises", (view, id) => view.get(Router, id)?.admin_state_up ?? false);
const advertised = query("subnet advertised", (view, id) => {
  const subnet = view.get(Subnet, id);
  return subnet !== undefined && isAdvertised(subnet);
});

const isAdvertised = (subnet: Subnet): boolean => subnet.ip_version === 6 && subnet.ipv6_ra_mode !== null;

/** Subnets of an interface, in the order of its addresses; none where its router is down, or it is no router's. */
export function advertisedSubnets(view: View, port: Port): readonly Subnet[] {
  if (port.router_id === null || view.get(Router, port.router_id)?.admin_state_up !== true) return [];
  return port.fixed_ips.flatMap(({ subnet_id }) => {
    const subnet = view.get(Subnet, subnet_id);
    return subnet !== undefined && isAdvertised(subnet) ? [subnet] : [];
  });
}

/** Whether there is any such subnet; wakes who asks only when that changes. */
export const isAdvertising = (view: QueryingView, port: Port): boolean =>
  port.router_id !== null &&
  view.ask(advertises, port.router_id) &&
  port.fixed_ips.some(({ subnet_id }) => view.ask(advertised, subnet_id));
