/** The addresses of this host on external networks, to which what it announces leads: it answers questions for them and pings (design, section 6; Neutron's agent gateways). */
import { derive, Host, HostGateway } from "@selvage/model";
import { ExtIn, echoRequest, FromPhysical, Neighbour, row } from "@selvage/pipeline";
import { ipVersion } from "../addresses.ts";
import { app } from "../app.ts";
import { hostKey, networkKey } from "../intent.ts";
import { alone, destination } from "../outside.ts";
import { hostMac } from "../physical.ts";
import { maySpeak } from "../segments.ts";
import { question } from "./gateways.ts";

export const hostGateways = app("host gateways", [FromPhysical, ExtIn, Neighbour], (here) => [
  derive("address", HostGateway, ({ network_id, host_id, addresses }, view) => {
    const net = view.ask(networkKey, network_id);
    const key = view.ask(hostKey, here.name);
    if (view.get(Host, host_id)?.name !== here.name || net === undefined || key === undefined) return [];
    const mac = hostMac(key);
    const spoken = addresses.filter((address) => maySpeak(view, network_id, address));
    return spoken.flatMap((address) => {
      const version = ipVersion(address);
      const at = { net, ...destination(alone(address)), ...echoRequest[version] };
      return [
        question(net, address, mac),
        row(ExtIn, at, version === 4 ? "echo4" : "echo6", {}, "echo"),
        row(Neighbour, { net, nh: address }, "known", { mac }),
      ];
    });
  }),
]);
