/** How the lab's hosts become hosts of the server: tokens, and ports that are bound anew after a host lost its key. */

import { access } from "node:fs/promises";
import { join } from "node:path";
import { type Api, ApiError, deletedPorts, needText, portsOf } from "./api.ts";
import { askControl } from "./control.ts";
import { LabError } from "./failure.ts";
import { JOINED } from "./paths.ts";
import { plug } from "./plugging.ts";

/** Frees a host of its ports: each is bound again when its machine is plugged. */
async function unbindAll(api: Api, host: string): Promise<void> {
  for (const port of await portsOf(api, host))
    await api.ask("PUT", `/v2.0/ports/${port.id}`, { port: { "binding:host_id": "" } });
}

/** A token with which a host joins, unless its folder under `hosts` says that it has joined already: then `null`. */
export async function tokenFor(api: Api, hosts: string, name: string): Promise<string | null> {
  const joined = await access(join(hosts, name, JOINED)).then(
    () => true,
    () => false,
  );
  if (joined) return null;
  // The authority's fingerprint goes with the token: the host compares it before it sends anything.
  const make = async (): Promise<string> => {
    const reply = await api.ask("POST", "/v1/hosts", { name });
    return `${needText(reply, "token")}.${needText(reply, "ca_fingerprint")}`;
  };
  try {
    return await make();
  } catch (cause) {
    if (!(cause instanceof ApiError) || cause.status !== 409) throw cause;
    // It is known from an earlier life whose key is lost: it joins anew.
    await unbindAll(api, name);
    await api.ask("DELETE", `/v1/hosts/${encodeURIComponent(name)}`);
    return make();
  }
}

/** Pulls out the machines whose ports were deleted, and forgets them. Gives their names. */
export async function forgetDeleted(api: Api, socket: string): Promise<readonly string[]> {
  const { machines } = await askControl(socket, { op: "state" });
  const deleted = await deletedPorts(
    api,
    machines.map((machine) => machine.port),
  );
  const gone = machines.filter((machine) => deleted.has(machine.port));
  for (const { port } of gone) await askControl(socket, { op: "unplug", port });
  return gone.map((machine) => machine.name);
}

/** Binds again what machines are plugged into, where a host that lost its key had to be freed of its ports. */
export async function rebind(api: Api, socket: string): Promise<void> {
  const { machines, hosts } = await askControl(socket, { op: "state" });
  const bound = new Set(
    (await Promise.all(hosts.map((host) => portsOf(api, host.name)))).flat().map((port) => port.id),
  );
  for (const machine of machines.filter((one) => !bound.has(one.port))) {
    // One that is deleted at this very moment: the next `up` forgets its machine.
    await plug(api, socket, machine.port, machine.host, 0).catch((cause: unknown) => {
      if (!(cause instanceof LabError) || cause.code !== "unknown-machine") throw cause;
    });
  }
}
