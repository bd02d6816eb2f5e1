/** What packets cost a switch: tables looked at and recirculations (`ofproto/trace`), cached flows and their masks (`dpctl/dump-flows`). */
import type { Guest, Host } from "./hosts.ts";
import { addressOf, macOf, nameOf } from "./plan.ts";

export interface Walk {
  /** Tables that a first packet is looked up in on its sender's host. */
  readonly lookups: number;
  readonly recirculations: number;
}

/** Whom a packet is for. */
interface Target {
  readonly mac: string;
  readonly address: string;
  readonly port: number;
}

/** The first packet of a connection, on the host of its sender; `found`: what each look at its connection finds, the last of them from then on. Throws when it does not leave as it should. */
export async function walkOf({ host, port: from }: Guest, to: Target, found = ["trk,new"]): Promise<Walk> {
  const ofport = (await host.vsctl("get", "interface", nameOf(from), "ofport")).trim();
  const packet = [
    `in_port=${ofport},tcp,dl_src=${macOf(from)},dl_dst=${to.mac}`,
    `nw_src=${addressOf(from)},nw_dst=${to.address},nw_ttl=64,tp_src=40000,tp_dst=${to.port},tcp_flags=syn`,
  ].join(",");
  const next = Array.from({ length: 4 }, (_, at) => ["--ct-next", found[at] ?? found.at(-1) ?? "trk,new"]).flat();
  const text = await host.appctl("ofproto/trace", "br-int", packet, ...next);
  if (!/tnl_push|bridge\("br-public"\)/.test(text)) throw new Error(`the packet does not leave its host:\n${text}`);
  // Bridges to the underlay and outside are not counted: they are the same for both.
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
