/** Sends DHCPv4 questions to the agent on networks that have a subnet with DHCP; elsewhere a tenant's own server may answer. */
import { derive, Subnet } from "@selvage/model";
import { Dhcp, row } from "@selvage/pipeline";
import { app } from "../app.ts";
import { dhcpServer } from "../dhcp.ts";
import { networkKey, networkOn } from "../intent.ts";

export const dhcp = app("dhcp", [Dhcp], (here) => [
  derive("subnet", Subnet, (subnet, view) => {
    const net = view.ask(networkKey, subnet.network_id);
    if (net === undefined || dhcpServer(subnet) === undefined || !networkOn(view, subnet.network_id, here.name))
      return [];
    return [row(Dhcp, { net }, "serve")];
  }),
]);
