/** A fresh switch database with its root row, and a client of it: what the tests against a real ovsdb-server begin with. */

import type { OvsdbClient } from "../client.ts";
import { connect } from "../client.ts";
import {
  Bridge,
  Controller,
  CtTimeoutPolicy,
  CtZone,
  Datapath,
  Interface,
  Manager,
  OpenVSwitch,
  Port,
} from "../open-vswitch.ts";
import type { Insert, Mutate } from "../operations.ts";
import { insert, mutate } from "../operations.ts";
import { named } from "../table.ts";
import type { OvsdbServer } from "./server.ts";
import { startOvsdbServer } from "./server.ts";

/** Every ready table of the Open_vSwitch database. */
export const ALL = [
  ...[OpenVSwitch, Bridge, Port, Interface, Manager, Controller],
  ...[Datapath, CtZone, CtTimeoutPolicy],
] as const;

/** A server and a client, both ended when the session is disposed of. */
export type Session = { readonly server: OvsdbServer; readonly client: OvsdbClient } & AsyncDisposable;

/** Starts a server, writes the root row, connects. Rejects as `startOvsdbServer`. */
export async function openSession(): Promise<Session> {
  const server = await startOvsdbServer();
  const client = await connect(server.endpoint);
  await server.vsctl("init");
  return {
    server,
    client,
    async [Symbol.asyncDispose]() {
      client.close();
      await server.stop();
    },
  };
}

/** A port with one interface on a bridge, as `ovs-vsctl add-port` makes it. */
export function addPort(
  bridge: string,
  name: string,
  ids: Readonly<Record<string, string>> = {},
): readonly [Insert, Insert, Mutate] {
  return [
    insert(Interface, { name, type: "internal", external_ids: ids }, "iface"),
    insert(Port, { name, interfaces: [named("iface")] }, "port"),
    mutate(Bridge, [["name", "==", bridge]], [["ports", "insert", [named("port")]]]),
  ];
}
