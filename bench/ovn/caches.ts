/** What packets cost a switch: tables looked at and recirculations (`ofproto/trace`), cached flows and their masks (`dpctl/dump-flows`). */
import type { Host } from "./hosts.ts";
import { addressOf, gatewayMac, macOf, nameOf, type PlannedPort } from "./plan.ts";

export interface Walk {
  /** Tables that a first packet is looked up in on its sender's host. */
  readonly lookups: number;
  readonly recirculations: number;
}

/** The first packet of a connection, on the host of its sender. */
export async function walkOf(host: Host, from: PlannedPort, to: PlannedPort, port: number): Promise<Walk> {
  const ofport = (await host.vsctl("get", "interface", nameOf(from), "ofport")).trim();
  const packet = [
    `in_port=${ofport},tcp,dl_src=${macOf(from)}`,
    `dl_dst=${from.network === to.network ? macOf(to) : gatewayMac(from.network)}`,
    `nw_src=${addressOf(from)},nw_dst=${addressOf(to)},nw_ttl=64,tp_src=40000,tp_dst=${port},tcp_flags=syn`,
  ].join(",");
  const next = ["--ct-next", "trk,new", "--ct-next", "trk,new", "--ct-next", "trk,new"];
  const text = await host.appctl("ofproto/trace", "br-int", packet, ...next);
  if (!text.includes("tnl_push")) throw new Error(`the packet does not leave for the other host:\n${text}`);
  // The underlay's own bridge is not counted: it is the same for both.
  return {
    lookups: [...text.matchAll(/^ *\d+\. (?!in_port=LOCAL|priority 0$).*(priority|No match)/gm)].length,
    recirculations: [...text.matchAll(/^recirc\(0x/gm)].length,
  };
}

export interface Cache {
  readonly megaflows: number;
  readonly masks: number;
}

/** A cached flow's mask: which fields it looks at, and which of their bits. Values are left out. */
export function maskOf(flow: string): string {
  const [match = ""] = flow.split(", packets:");
  return match
    .replace(/^ufid:\S+ /, "")
    .replace(/([=(])([^=(),/]+)\/([^(),]+)/g, "$1/$3")
    .replace(/([=(])([^=(),/]+)(?=[,)])/g, "$1*");
}

export async function cacheOf(host: Host): Promise<Cache> {
  const text = await host.appctl("dpctl/dump-flows");
  const flows = text.split("\n").filter((line) => line.includes("actions:"));
  return { megaflows: flows.length, masks: new Set(flows.map(maskOf)).size };
}
