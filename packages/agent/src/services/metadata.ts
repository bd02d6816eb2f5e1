/**
 * What the metadata service tells a machine of itself, from its own port: OpenStack's tree (Nova, metadata service; cloud-init, datasource OpenStack) and EC2's
 * (cloud-init, datasource EC2), by path. Pure: whose port asks has been found by the switch.
 */
import { cidrOf, Network, netmaskOf, type Port, Subnet, type View } from "@selvage/model";
import { machineName } from "./machine-name.ts";

export interface MetadataAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: Uint8Array;
}

type MetadataView = Pick<View, "get">;

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const plain = (text: string): MetadataAnswer => ({ status: 200, type: "text/plain; charset=utf-8", body: bytes(text) });
const json = (value: unknown): MetadataAnswer => ({
  status: 200,
  type: "application/json",
  body: bytes(JSON.stringify(value)),
});
const nothing: MetadataAnswer = { status: 404, type: "text/plain; charset=utf-8", body: bytes("Not Found\n") };

/** Versions that clients ask for first; each shows the same tree, as Nova's later ones hold its earlier. */
const openstackVersions = [
  "2012-08-10",
  "2013-04-04",
  "2013-10-17",
  "2015-10-15",
  "2016-06-30",
  "2016-10-06",
  "2017-02-22",
  "2018-08-27",
  "2020-10-14",
];
const ec2Versions = [
  "1.0",
  "2007-01-19",
  "2007-03-01",
  "2007-08-29",
  "2007-10-10",
  "2007-12-15",
  "2008-02-01",
  "2008-09-01",
  "2009-04-04",
];

/** Answers a path, which may end in a slash; a query counts for nothing. */
export function answerMetadata(view: MetadataView, port: Port, path: string): MetadataAnswer {
  const [only = ""] = path.split(/[?#]/);
  const parts = only.split("/").filter((part) => part !== "");
  const [first = "", ...rest] = parts;
  if (first === "") return plain([...ec2Versions, "latest"].join("\n"));
  if (first === "openstack") return openstack(view, port, rest);
  return first === "latest" || ec2Versions.includes(first) ? ec2(port, rest) : nothing;
}

/** What the machine is known by: the server that it is, where somebody says which, else its port. */
const instanceId = (port: Port): string => (port.device_id === "" ? port.id : port.device_id);

const userData = (port: Port): MetadataAnswer =>
  port.user_data === ""
    ? nothing
    : { status: 200, type: "application/octet-stream", body: Buffer.from(port.user_data, "base64") };

function openstack(view: MetadataView, port: Port, [version, ...rest]: readonly string[]): MetadataAnswer {
  if (version === undefined) return plain([...openstackVersions, "latest"].join("\n"));
  if (version !== "latest" && !openstackVersions.includes(version)) return nothing;
  const documents: Readonly<Record<string, () => MetadataAnswer>> = {
    "meta_data.json": () => json(metaData(port)),
    "network_data.json": () => json(networkData(view, port)),
    user_data: () => userData(port),
    "vendor_data.json": () => json({}),
    "vendor_data2.json": () => json({}),
  };
  if (rest.length === 0) {
    const there = Object.keys(documents).filter((name) => name !== "user_data" || port.user_data !== "");
    return plain(there.join("\n"));
  }
  const [name = "", ...beyond] = rest;
  // What every object has (`constructor`, `toString`) is no document.
  const document = beyond.length === 0 && Object.hasOwn(documents, name) ? documents[name] : undefined;
  return document === undefined ? nothing : document();
}

const metaData = (port: Port) => ({
  uuid: instanceId(port),
  name: port.name === "" ? machineName(port) : port.name,
  hostname: machineName(port),
  project_id: port.project_id,
  launch_index: 0,
  meta: {},
  devices: [],
});

/** Of a port: one link, and a network for each of its addresses (Nova, `network_data.json` of 2015-10-15). */
function networkData(view: MetadataView, port: Port) {
  const link = `tap${port.id.slice(0, 11)}`;
  const services: { readonly type: "dns"; readonly address: string }[] = [];
  const networks = port.fixed_ips.flatMap(({ subnet_id, ip_address }, at) => {
    const subnet = view.get(Subnet, subnet_id);
    if (subnet === undefined) return [];
    for (const address of subnet.dns_nameservers)
      if (!services.some((each) => each.address === address)) services.push({ type: "dns", address });
    return [{ id: `network${at}`, link, network_id: port.network_id, ...addressing(subnet, ip_address) }];
  });
  const mtu = view.get(Network, port.network_id)?.mtu;
  return {
    links: [
      {
        id: link,
        vif_id: port.id,
        type: "ovs",
        ethernet_mac_address: port.mac_address,
        ...(mtu === undefined ? {} : { mtu }),
      },
    ],
    networks,
    services,
  };
}

/** How an address is got: by itself where the network tells it, else as it is said here. */
function addressing(subnet: Subnet, ip_address: string) {
  const isFour = subnet.ip_version === 4;
  const routes = [
    ...(subnet.gateway_ip === null ? [] : [route(isFour ? "0.0.0.0/0" : "::/0", subnet.gateway_ip)]),
    ...subnet.host_routes.map(({ destination, nexthop }) => route(destination, nexthop)),
  ];
  if (isFour && subnet.enable_dhcp) return { type: "ipv4_dhcp" };
  if (!isFour && subnet.enable_dhcp && subnet.ipv6_address_mode !== null) {
    const how = {
      slaac: "slaac",
      "dhcpv6-stateless": "dhcpv6-stateless",
      "dhcpv6-stateful": "dhcpv6-stateful",
    } as const;
    return { type: `ipv6_${how[subnet.ipv6_address_mode]}` };
  }
  return { type: isFour ? "ipv4" : "ipv6", ip_address, netmask: netmaskOf(cidrOf(subnet.cidr)), routes };
}

function route(destination: string, gateway: string) {
  const [network = ""] = destination.split("/");
  return { network, netmask: netmaskOf(cidrOf(destination)), gateway };
}

/** EC2's tree, as far as a port knows it. */
function ec2(port: Port, [what, ...rest]: readonly string[]): MetadataAnswer {
  if (what === undefined) return plain(["meta-data/", ...(port.user_data === "" ? [] : ["user-data"])].join("\n"));
  if (what === "user-data") return rest.length === 0 ? userData(port) : nothing;
  if (what !== "meta-data") return nothing;
  const four = port.fixed_ips.find(({ ip_address }) => !ip_address.includes(":"))?.ip_address;
  const six = port.fixed_ips.find(({ ip_address }) => ip_address.includes(":"))?.ip_address;
  const name = machineName(port);
  const values: Readonly<Record<string, string | undefined>> = {
    "ami-launch-index": "0",
    hostname: name,
    "instance-id": `i-${instanceId(port).replaceAll("-", "").slice(0, 8)}`,
    ipv6: six,
    "local-hostname": name,
    "local-ipv4": four,
    mac: port.mac_address,
    "public-hostname": name,
  };
  const [leaf, ...beyond] = rest;
  if (leaf === undefined) {
    const known = Object.entries(values).filter(([, value]) => value !== undefined);
    return plain(known.map(([key]) => key).join("\n"));
  }
  const value = beyond.length === 0 && Object.hasOwn(values, leaf) ? values[leaf] : undefined;
  return value === undefined ? nothing : plain(value);
}
