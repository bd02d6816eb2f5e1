/** A host's agent in a process of its own for the durability runs, on a simulated switch into which the machine of each port that is bound to the host is plugged. */
import { type RunningAgent, startAgent } from "@selvage/agent";
import { silentLog } from "@selvage/base";
import { SimulatedDatapath } from "@selvage/datapath";
import { Port } from "@selvage/model";

const [dataDir, tunnelIp, hostName] = process.argv.slice(2);
if (dataDir === undefined || tunnelIp === undefined || hostName === undefined)
  throw new Error("usage: agent-child.ts DATA TUNNEL_IP HOST");

const datapath = new SimulatedDatapath({ now: () => performance.now() });
const settings = { metadata: "off", bgpDaemon: "" };
const agent = await startAgent({ dataDir, tunnelIp, datapath, settings, log: silentLog });
const plugged = new Set<string>();
let isWaiting = false;

/** Machines come where their ports are bound, and go with them. */
function plug({ host }: RunningAgent): void {
  const isHere = (port: Port): boolean => port["binding:host_id"] === hostName;
  const bound = new Set([...host.view.objects(Port)].filter(isHere).map(({ id }) => id));
  for (const id of plugged) {
    if (bound.has(id)) continue;
    plugged.delete(id);
    datapath.unplug(id);
  }
  for (const id of bound) {
    if (plugged.has(id)) continue;
    plugged.add(id);
    datapath.plug(id, () => undefined);
  }
}

/** What is plugged in changes the status in its turn. */
function later(): void {
  if (isWaiting) return;
  isWaiting = true;
  setImmediate(() => {
    isWaiting = false;
    plug(agent);
  });
}

agent.host.onChange(later);
later();
