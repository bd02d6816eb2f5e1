/** The metadata service for the machines of this host, whatever their networks: who asks is told by the port's key, and by which of its addresses it asks from. */
import { derive, Port } from "@selvage/model";
import { Classify, Metadata, type Row, row, ServiceIn, serviceAddress, serviceIngress } from "@selvage/pipeline";
import { addressesOf } from "../addresses.ts";
import { app } from "../app.ts";
import { isHere } from "../intent.ts";

export const metadata = app("metadata", [Classify, Metadata, ServiceIn], (here) => [
  derive("port", Port, (port, view) => {
    if (!isHere(view, port, here.name)) return [];
    const { key: srcPort, mac_address: mac } = port;
    const back = { mac, port: srcPort };
    return [
      // The first such port is what makes this host have an interface to its services.
      row(Classify, { ingress: serviceIngress }, "service"),
      ...addressesOf(port, 4).flatMap((address, at): readonly Row[] => {
        const as = serviceAddress(srcPort, at, 4);
        if (as === undefined) return [];
        return [
          row(Metadata, { srcPort, ip4Src: address }, "serve4", { as }, "address"),
          row(ServiceIn, { ip4Dst: as }, "restore4", { ...back, address }, "address"),
        ];
      }),
      ...addressesOf(port, 6).flatMap((address, at): readonly Row[] => {
        const as = serviceAddress(srcPort, at, 6);
        if (as === undefined) return [];
        return [
          row(Metadata, { srcPort, ip6Src: address }, "serve6", { as }, "address"),
          row(ServiceIn, { ip6Dst: as }, "restore6", { ...back, address }, "address"),
        ];
      }),
    ];
  }),
]);
