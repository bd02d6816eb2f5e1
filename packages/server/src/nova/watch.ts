/**
 * Which of Nova's external events follow from what is known of ports: those of the compute service's machines that come up, go
 * down, change their addresses or go (Compute API, "Create External Events"; Neutron's `neutron/notifiers/nova.py` sends the same).
 */
import { isUuid } from "@selvage/base";
import { type Change, Host, keyOf, Port, type View } from "@selvage/model";
import type { HostStates } from "../host-states.ts";

export const novaEventNames = [
  "network-vif-plugged",
  "network-vif-unplugged",
  "network-vif-deleted",
  "network-changed",
] as const;
export type NovaEventName = (typeof novaEventNames)[number];

/** One event as it goes on the wire. */
export interface NovaEvent {
  readonly name: NovaEventName;
  /** The machine: the port's `device_id`. */
  readonly server_uuid: string;
  /** The port's id. */
  readonly tag: string;
  readonly status?: "completed";
}

/** What is remembered of a compute port, so that it can still be told of when it is gone. */
interface Known {
  readonly device: string;
  readonly host: string;
  readonly addresses: string;
}

const nobody: ReadonlySet<string> = new Set();

/** Follows ports and what hosts report, and says which events that makes. One port costs one entry; a report costs what differs. */
export class VifWatch {
  readonly #view: View;
  readonly #hosts: Pick<HostStates, "of" | "portUp">;
  readonly #known = new Map<string, Known>();
  /** Port → the machine that was told that it is plugged. */
  readonly #told = new Map<string, string>();
  /** Host → the ports that it had up when it was looked at last. */
  readonly #seen = new Map<string, ReadonlySet<string>>();

  constructor(view: View, hosts: Pick<HostStates, "of" | "portUp">, ports: Iterable<Port>) {
    this.#view = view;
    this.#hosts = hosts;
    for (const port of ports) this.#remember(port);
  }

  /** What an entry of the log makes; the view has taken it already. */
  committed(changes: readonly Change[]): readonly NovaEvent[] {
    return changes.filter(({ kind }) => kind === Port.kind).flatMap(({ id }) => this.#changed(id));
  }

  /** What a host's new report makes. */
  reported(hostId: string): readonly NovaEvent[] {
    const before = this.#seen.get(hostId) ?? nobody;
    const { portsUp } = this.#hosts.of(hostId);
    if (portsUp === before) return [];
    if (portsUp.size === 0) this.#seen.delete(hostId);
    else this.#seen.set(hostId, portsUp);
    const differ = [...[...before].filter((id) => !portsUp.has(id)), ...[...portsUp].filter((id) => !before.has(id))];
    return differ.flatMap((id) => this.#settle(id));
  }

  #changed(id: string): readonly NovaEvent[] {
    const before = this.#known.get(id);
    const port = this.#view.get(Port, id);
    const after = port === undefined ? undefined : this.#remember(port);
    if (after === undefined) this.#known.delete(id);
    if (port === undefined) {
      this.#told.delete(id);
      return before === undefined ? [] : [{ name: "network-vif-deleted", server_uuid: before.device, tag: id }];
    }
    const moved =
      before !== undefined &&
      after !== undefined &&
      before.device === after.device &&
      before.addresses !== after.addresses;
    return [
      ...this.#settle(id),
      ...(moved ? [{ name: "network-changed", server_uuid: after.device, tag: id } as const] : []),
    ];
  }

  /** Tells what differs between the machine that was told that the port is up, and the one that has it up now. */
  #settle(id: string): readonly NovaEvent[] {
    const before = this.#told.get(id);
    const known = this.#known.get(id);
    const now = known !== undefined && this.#isUp(id, known) ? known.device : undefined;
    if (before === now) return [];
    if (now === undefined) this.#told.delete(id);
    else this.#told.set(id, now);
    const event = (name: NovaEventName, device: string): NovaEvent => ({
      name,
      server_uuid: device,
      tag: id,
      status: "completed",
    });
    return [
      ...(before === undefined ? [] : [event("network-vif-unplugged", before)]),
      ...(now === undefined ? [] : [event("network-vif-plugged", now)]),
    ];
  }

  #isUp(id: string, { host }: Known): boolean {
    const [found] = host === "" ? [] : this.#view.by(Host.index.name, host);
    return found !== undefined && this.#hosts.portUp(found.id, id);
  }

  #remember(port: Port): Known | undefined {
    if (!port.device_owner.startsWith("compute:") || !isUuid(port.device_id)) return undefined;
    const known: Known = {
      device: port.device_id,
      host: port["binding:host_id"],
      addresses: [port.mac_address, ...port.fixed_ips.map((fixed) => keyOf(fixed.subnet_id, fixed.ip_address))].join(),
    };
    this.#known.set(port.id, known);
    return known;
  }
}
