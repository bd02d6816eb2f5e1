/** One life of the connection to a switch: its database followed, its bridge as planned, its OpenFlow side greeted and the tunnel option mapped. */
import { dirname, join } from "node:path";
import {
  type Address,
  ConfigFlag,
  Connection,
  connectSocket,
  type FlowRemoved,
  type Message,
  type PacketIn,
  PacketInFormat,
  type TlvMapping,
} from "@selvage/openflow";
import {
  Configuration,
  connect,
  mutate,
  OPEN_VSWITCH,
  OpenVSwitch,
  type Operation,
  type OvsdbClient,
  Replica,
  untilApplied,
} from "@selvage/ovsdb";
import { serviceIngress, vxlanIngress } from "@selvage/pipeline";
import {
  type BridgePlan,
  bridgeReplica,
  configure,
  configureService,
  configureVxlan,
  datapathOf,
  mayConcernInterfaces,
  pluggedIn,
} from "./bridge.ts";
import { Control } from "./control.ts";
import { SwitchConflict } from "./errors.ts";
import { tunnelOption } from "./layout.ts";
import { configurePhysical } from "./physical.ts";

export interface SessionPlan extends BridgePlan {
  /** Where the switch's database listens: `unix:PATH` or `tcp:IP:PORT`. */
  readonly database: string;
  /** Where the bridge listens; null for `<bridge>.mgmt` beside the database's socket. */
  readonly openflow: Address | null;
}

export interface SessionEvents {
  readonly packetIn: (packet: PacketIn) => void;
  readonly flowRemoved: (flow: FlowRemoved) => void;
  /** The interfaces of the switch may have changed. */
  readonly configuration: () => void;
  /** Something that we sent without waiting was refused. */
  readonly refused: (code: string) => void;
}

export interface Session {
  readonly replica: Replica;
  readonly client: OvsdbClient;
  /** The datapath's name, as the control socket knows it. */
  readonly datapath: string;
  readonly connection: Connection;
  /** Undefined where the daemon's control socket is not to be found. */
  readonly control: Control | undefined;
  /** Settles, without rejecting, when the switch is gone or `close` was called. */
  readonly ended: Promise<Error>;
  /** Makes the bridge able to send and receive by VXLAN, and resolves when it is; rejects with SwitchConflict, or when the signal is aborted before that. */
  addVxlan(signal: AbortSignal): Promise<void>;
  /** Makes the interface of the host's services; resolves and rejects as `addVxlan` does. */
  addService(signal: AbortSignal): Promise<void>;
  /** Makes the ways to physical networks that are mapped, and takes away those that are not; resolves when that is written. */
  connectPhysical(): Promise<void>;
  close(): void;
}

/** The bridge's own socket, beside the database's. Throws TypeError where the database is not on this machine. */
function openflowAddress({ openflow, database, bridge }: SessionPlan): Address {
  if (openflow !== null) return openflow;
  if (!database.startsWith("unix:")) throw new TypeError(`${database} is elsewhere: say where ${bridge} listens`);
  return { path: join(dirname(database.slice("unix:".length)), `${bridge}.mgmt`) };
}

/** The daemon's control socket lies beside the others. */
async function findControl({ database }: SessionPlan): Promise<Control | undefined> {
  return database.startsWith("unix:") ? Control.find(dirname(database.slice("unix:".length))) : undefined;
}

/** Connects to both sides. Rejects when either does not answer, or with SwitchConflict; nothing stays open then. */
export async function openSession(plan: SessionPlan, events: SessionEvents, signal: AbortSignal): Promise<Session> {
  const client = await connect(plan.database, { signal });
  try {
    const replica = bridgeReplica();
    await client.monitor(replica, { signal });
    const operations = configure(replica, plan);
    if (operations.length > 0)
      await client.transact(OPEN_VSWITCH, [...operations, mutate(OpenVSwitch, [], [["next_cfg", "+=", 1]])], {
        signal,
      });
    const connection = await Connection.open(await connectSocket(openflowAddress(plan)));
    try {
      signal.throwIfAborted();
      await greet(connection);
      if (operations.length > 0) await takenUp(client, connection, signal);
      const control = await findControl(plan);
      return follow(plan, client, replica, connection, control, events);
    } catch (error) {
      connection.close();
      throw error;
    }
  } catch (error) {
    client.close();
    throw error;
  }
}

/**
 * Waits until the switch has taken up what was written (ovs-vswitchd.conf.db(5), `next_cfg` and `cur_cfg`): one that learns of other versions
 * of OpenFlow than it knew of ends all connections to the bridge, and may learn it after it greeted us. Rejects when this connection was one of them.
 */
async function takenUp(client: OvsdbClient, connection: Connection, closing: AbortSignal): Promise<void> {
  const gone = new AbortController();
  connection.closed.then(({ kind }) => gone.abort(new Error(`the switch has ended the connection: ${kind}`)));
  const signal = AbortSignal.any([closing, gone.signal]);
  const replica = new Replica(OPEN_VSWITCH, [Configuration]);
  await client.monitor(replica, { signal });
  const [root] = replica.table(Configuration).values();
  await untilApplied(replica, root?.next_cfg ?? 0, { signal });
  await client.unmonitor(replica);
  // Its last word may not have been read yet.
  await connection.barrier();
}

/**
 * Whole packets with what the program knew of them, and our option where the tunnels' options are mapped. A first fragment has the ports and the type of its
 * upper layer, a later one has none (ovs-ofctl(8), `set-frags nx-match`): as a switch is by itself neither has, and what no machine may send, as a DHCP
 * server's answers, could be sent in fragments.
 */
async function greet(connection: Connection): Promise<void> {
  const flags = ConfigFlag.fragmentsNxMatch;
  await connection.post({ kind: "setConfig", flags, missSendLength: 0xffff });
  await connection.post({ kind: "setPacketInFormat", format: PacketInFormat.nxt2 });
  const table = await connection.request({ kind: "tlvTableRequest" });
  if (table.kind !== "tlvTableReply")
    throw new SwitchConflict(`the switch answers ${table.kind} when asked for its options`);
  const rivals = table.mappings.filter((each) => isOurs(each) || each.index === tunnelOption.index);
  if (rivals.length === 0) {
    await connection.send([{ kind: "tlvTableMod", command: "add", mappings: [tunnelOption] }]);
  } else if (rivals.length > 1 || !rivals.every(isSame)) {
    throw new SwitchConflict(
      "the bridge maps Geneve options in another way than ours: remove its flows and the mapping (ovs-ofctl del-tlv-map)",
    );
  }
  await connection.barrier();
}

const isOurs = (one: TlvMapping): boolean =>
  one.optionClass === tunnelOption.optionClass && one.optionType === tunnelOption.optionType;
const isSame = (one: TlvMapping): boolean =>
  isOurs(one) && one.optionLength === tunnelOption.optionLength && one.index === tunnelOption.index;

function follow(
  plan: SessionPlan,
  client: OvsdbClient,
  replica: Replica,
  connection: Connection,
  control: Control | undefined,
  events: SessionEvents,
): Session {
  connection.on("packetIn", events.packetIn);
  connection.on("flowRemoved", events.flowRemoved);
  connection.on("error", (error) => events.refused(`type ${error.type}, code ${error.code}`));
  replica.onChange((changes) => {
    if (mayConcernInterfaces(changes)) events.configuration();
  });
  const close = (): void => {
    connection.close();
    control?.close();
    client.close();
  };
  const ended = Promise.race([
    connection.closed.then(
      (cause) => new Error(`the switch is gone: ${cause.kind}`, "error" in cause ? { cause: cause.error } : {}),
    ),
    client.closed.then((cause) => new Error(`the switch's database is gone: ${cause.kind}`)),
  ]).then((cause) => {
    close();
    return cause;
  });
  const add = async (operations: readonly Operation[], name: string, signal: AbortSignal): Promise<void> => {
    if (operations.length > 0) await client.transact(OPEN_VSWITCH, operations, { signal });
    await replica.until((now) => pluggedIn(now, plan).ports.numberOf(name) ?? null, { signal });
  };
  const addVxlan = async (signal: AbortSignal): Promise<void> =>
    add(configureVxlan(replica, plan), vxlanIngress, signal);
  const addService = async (signal: AbortSignal): Promise<void> =>
    add(configureService(replica, plan), serviceIngress, signal);
  const connectPhysical = async (): Promise<void> => {
    const operations = configurePhysical(replica, plan);
    if (operations.length > 0) await client.transact(OPEN_VSWITCH, operations, {});
  };
  const datapath = datapathOf(replica, plan.bridge);
  return { replica, client, datapath, connection, control, ended, addVxlan, addService, connectPhysical, close };
}

/** Sends messages and waits behind a barrier until they are done. Rejects with what was refused. */
export async function batch(connection: Connection, messages: readonly Message[]): Promise<void> {
  if (messages.length === 0) return;
  await connection.send(messages);
  await connection.barrier();
}
