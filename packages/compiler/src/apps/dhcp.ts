/** Sends DHCP questions of either family to the agent on networks that have a subnet with DHCP; elsewhere a tenant's own server may answer. */
import { derive, Subnet } from "@selvage/model";
import { Dhcp, Dhcp6, row } from "@selvage/pipeline";
import { app } from "../app.ts";
import { dhcp6Mode, dhcpServer } from "../dhcp.ts";
import { networkKey, networkOn } from "../intent.ts";

export const dhcp = app("dhcp", [Dhcp, Dhcp6], (here) => [
  derive("subnet", Subnet, (subnet, view) => {
    const serves4 = dhcpServer(subnet, "geneve") !== undefined;
    if (!serves4 && dhcp6Mode(subnet) === undefined) return [];
    const net = view.ask(networkKey, subnet.network_id);
    if (net === undefined || !networkOn(view, subnet.network_id, here.name)) return [];
    return [row(serves4 ? Dhcp : Dhcp6, { net }, "serve")];
  }),
]);
