/** `selvage flows HOST`: the rows as they are on a host's switch now, with their packets and the objects of intent that each is of. */

import type { InstalledFlow, InstalledFlows } from "@selvage/agent";
import {
  type Api,
  agentSocket,
  askAgent,
  at,
  dataPaths,
  findPort,
  LabError,
  labAgentSocket,
  openFabric,
} from "@selvage/lab";
import { dataDirectory } from "../context.ts";
import { Exit } from "../exit.ts";
import { type Output, printJson, printTable, standardOutput } from "../format.ts";
import { objectText } from "./trace.ts";

export interface FlowsFlags {
  readonly port?: string;
  readonly agent?: string;
  readonly data?: string;
  readonly json?: boolean;
}

/** Where the agent of a host that is no lab's keeps its data. */
const USUAL_AGENT_DATA = "/var/lib/selvage-agent";

/** An object with its name, where the server tells it. */
interface NamedObject {
  readonly kind: string;
  readonly id: string;
  readonly name: string | null;
}

export interface NamedFlow extends Omit<InstalledFlow, "objects"> {
  readonly objects: readonly NamedObject[];
}

/** Kinds whose objects have names, each with its list. */
const lists: ReadonlyMap<string, string> = new Map(
  ["network", "subnet", "port", "router", "security_group"].map((kind) => [kind, `${kind}s`]),
);
/** Ids asked for at once: they stand in a URL. */
const idsAtOnce = 100;

/** Names by id of the objects that rows are of. */
async function namesOf(api: Api, flows: readonly InstalledFlow[]): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  const take = (objects: unknown): void => {
    for (const object of Array.isArray(objects) ? objects : [])
      names.set(String(at(object, "id")), String(at(object, "name")));
  };
  const objects = flows.flatMap((flow) => flow.objects);
  for (const [kind, list] of lists) {
    const ids = [...new Set(objects.flatMap((object) => (object.kind === kind ? [object.id] : [])))];
    for (let first = 0; first < ids.length; first += idsAtOnce) {
      const asked = ids.slice(first, first + idsAtOnce).map((id) => `id=${encodeURIComponent(id)}`);
      const path = list.replaceAll("_", "-");
      take(at(await api.ask("GET", `/v2.0/${path}?fields=id&fields=name&${asked.join("&")}`), list));
    }
  }
  if (objects.some(({ kind }) => kind === "host")) take(at(await api.ask("GET", "/v1/hosts"), "hosts"));
  return names;
}

/** The rows that are of a port, or all of them, with names. */
export function namedFlows(
  { flows }: InstalledFlows,
  names: ReadonlyMap<string, string>,
  port: string | undefined,
): readonly NamedFlow[] {
  return flows
    .filter(({ objects }) => port === undefined || objects.some(({ kind, id }) => kind === "port" && id === port))
    .map(({ objects, ...flow }) => ({
      ...flow,
      objects: objects.map(({ kind, id }) => ({ kind, id, name: names.get(id) ?? null })),
    }));
}

/** For people: in the order of the tables. */
export function showFlows(flows: readonly NamedFlow[], output: Output): void {
  const ofText = ({ row, objects }: NamedFlow): string => {
    if (row === null) return "NOBODY";
    return objects.length === 0 ? "always" : objects.map(objectText).join(", ");
  };
  printTable(output, {
    columns: ["packets", "of", "row"],
    rows: flows.map((flow) => [flow.packets, ofText(flow), flow.row ?? flow.text]),
  });
}

async function socketOf(host: string, flags: FlowsFlags): Promise<string> {
  if (flags.agent !== undefined) return agentSocket(flags.agent);
  return (await labAgentSocket(dataPaths(dataDirectory(flags.data)), host)) ?? agentSocket(USUAL_AGENT_DATA);
}

/** The fabric's server, where it runs on this machine: on a host that has only an agent, objects are told by id. */
async function serverHere(flags: FlowsFlags): Promise<Api | undefined> {
  try {
    return (await openFabric(dataDirectory(flags.data))).api;
  } catch (cause) {
    if (cause instanceof LabError && cause.code === "not-running") return undefined;
    throw cause;
  }
}

/** Runs `selvage flows HOST`. */
export async function flows(host: string, flags: FlowsFlags, output: Output = standardOutput): Promise<number> {
  // The agent is of this very version: it is this program.
  const held = (await askAgent(await socketOf(host, flags), "/v1/flows")) as InstalledFlows;
  if (held.host !== host)
    throw new LabError(
      "unknown-host",
      `the agent here is that of host ${held.host}`,
      "ask on the host itself, or name its --agent DIR",
    );
  const api = await serverHere(flags);
  const port = flags.port === undefined || api === undefined ? flags.port : (await findPort(api, flags.port)).id;
  const told = namedFlows(held, api === undefined ? new Map() : await namesOf(api, held.flows), port);
  if (flags.json === true) printJson(output, { host, flows: told });
  else showFlows(told, output);
  return Exit.ok;
}
