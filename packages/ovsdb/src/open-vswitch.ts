/** The tables of the Open_vSwitch database that a controller needs (ovs-vswitchd.conf.db(5)), and waiting until the switch has done what was written, as `ovs-vsctl` does. */

import type { CallOptions, OvsdbClient } from "./client.ts";
import { OvsdbError } from "./errors.ts";
import type { Mutate, Operation, ResultsOf, Select } from "./operations.ts";
import { mutate, select } from "./operations.ts";
import type { Replica } from "./replica.ts";
import { bigInteger, boolean, integer, map, optional, pick, set, string, table, uuid } from "./table.ts";

/** The database's name. */
export const OPEN_VSWITCH = "Open_vSwitch";

/** The one row at the root: what holds for the whole switch. `next_cfg` counts what was asked, `cur_cfg` what ovs-vswitchd has done. */
export const OpenVSwitch = table({
  name: "Open_vSwitch",
  columns: {
    bridges: set(uuid()),
    manager_options: set(uuid()),
    datapaths: map(string(), uuid()),
    next_cfg: integer(),
    cur_cfg: integer(),
    external_ids: map(string(), string()),
    other_config: map(string(), string()),
    ovs_version: optional(string()),
    db_version: optional(string()),
    datapath_types: set(string()),
    iface_types: set(string()),
  },
});

/** A bridge. `fail_mode` is `secure` or `standalone`, `protocols` are `OpenFlow10` to `OpenFlow15`, `datapath_id` 16 hexadecimal digits once it runs. */
export const Bridge = table({
  name: "Bridge",
  columns: {
    name: string(),
    ports: set(uuid()),
    controller: set(uuid()),
    mirrors: set(uuid()),
    fail_mode: optional(string()),
    protocols: set(string()),
    datapath_type: string(),
    datapath_id: optional(string()),
    datapath_version: string(),
    mcast_snooping_enable: boolean(),
    external_ids: map(string(), string()),
    other_config: map(string(), string()),
    status: map(string(), string()),
  },
});

/** A port of a bridge: one interface, or several in a bond. */
export const Port = table({
  name: "Port",
  columns: {
    name: string(),
    interfaces: set(uuid()),
    tag: optional(integer()),
    trunks: set(integer()),
    vlan_mode: optional(string()),
    qos: optional(uuid()),
    bond_mode: optional(string()),
    lacp: optional(string()),
    external_ids: map(string(), string()),
    other_config: map(string(), string()),
    status: map(string(), string()),
  },
});

/**
 * An interface. `ofport` is its OpenFlow port, `null` until the switch has taken it up and -1 when it could not (`error` says why).
 * `statistics` are 64-bit counters that the switch rewrites every five seconds: `pick` it away where they are not wanted.
 */
export const Interface = table({
  name: "Interface",
  columns: {
    name: string(),
    type: string(),
    options: map(string(), string()),
    external_ids: map(string(), string()),
    other_config: map(string(), string()),
    ofport: optional(integer()),
    ofport_request: optional(integer()),
    ifindex: optional(integer()),
    mac: optional(string()),
    mac_in_use: optional(string()),
    admin_state: optional(string()),
    link_state: optional(string()),
    link_resets: optional(integer()),
    error: optional(string()),
    mtu: optional(integer()),
    mtu_request: optional(integer()),
    ingress_policing_rate: integer(),
    ingress_policing_burst: integer(),
    bfd: map(string(), string()),
    bfd_status: map(string(), string()),
    status: map(string(), string()),
    statistics: map(string(), bigInteger()),
  },
});

/** Where the switch's own ovsdb-server listens or connects to. */
export const Manager = table({
  name: "Manager",
  columns: {
    target: string(),
    connection_mode: optional(string()),
    inactivity_probe: optional(integer()),
    max_backoff: optional(integer()),
    is_connected: boolean(),
    external_ids: map(string(), string()),
    other_config: map(string(), string()),
    status: map(string(), string()),
  },
});

/** An OpenFlow controller of a bridge. `role` is `other`, `master` or `slave` once connected. */
export const Controller = table({
  name: "Controller",
  columns: {
    target: string(),
    connection_mode: optional(string()),
    inactivity_probe: optional(integer()),
    max_backoff: optional(integer()),
    enable_async_messages: optional(boolean()),
    is_connected: boolean(),
    role: optional(string()),
    external_ids: map(string(), string()),
    other_config: map(string(), string()),
    status: map(string(), string()),
  },
});

/** What holds for all bridges of one kind, by whose `datapath_type` the root row names it: zones of connection tracking, by their number. */
export const Datapath = table({
  name: "Datapath",
  columns: {
    datapath_version: string(),
    ct_zones: map(integer(), uuid()),
    capabilities: map(string(), string()),
    external_ids: map(string(), string()),
  },
});

/** A zone of connection tracking. */
export const CtZone = table({
  name: "CT_Zone",
  columns: { timeout_policy: optional(uuid()), external_ids: map(string(), string()) },
});

/** How long connections are kept, in seconds, by what they are: `tcp_time_wait`, `udp_first` … */
export const CtTimeoutPolicy = table({
  name: "CT_Timeout_Policy",
  columns: { timeouts: map(string(), integer()), external_ids: map(string(), string()) },
});

/** What of the root row a replica must watch for `transactApplied` and `untilApplied`. */
export const Configuration = pick(OpenVSwitch, ["next_cfg", "cur_cfg"]);

const NextConfiguration = pick(OpenVSwitch, ["next_cfg"]);

/**
 * Runs a transaction that also raises `next_cfg`, and settles with its results when ovs-vswitchd has it in force (`cur_cfg` has come that
 * far), as `ovs-vsctl` without `--no-wait`. The replica must watch `Configuration` over the same server. Rejects as `transact` and
 * `Replica.until` do; a signal that fires after the commit leaves the transaction in place.
 */
export async function transactApplied<const Ops extends readonly Operation[]>(
  client: OvsdbClient,
  replica: Replica,
  operations: Ops,
  options: CallOptions = {},
): Promise<ResultsOf<Ops>> {
  replica.table(Configuration);
  const all: readonly [...Ops, Mutate, Select<typeof NextConfiguration>] = [
    ...operations,
    mutate(OpenVSwitch, [], [["next_cfg", "+=", 1]]),
    select(NextConfiguration, []),
  ];
  const results: readonly unknown[] = await client.transact(OPEN_VSWITCH, all, options);
  // The last two results are those of the two operations added just above; the rest are those of `operations`.
  const [, { rows }] = results.slice(-2) as unknown as ResultsOf<[Mutate, Select<typeof NextConfiguration>]>;
  const next = rows[0]?.next_cfg;
  if (next === undefined) {
    const details = "the Open_vSwitch table is empty: run `ovs-vsctl --no-wait init`";
    throw new OvsdbError({ error: "no configuration", details, method: "transact" });
  }
  await untilApplied(replica, next, options);
  return results.slice(0, operations.length) as unknown as ResultsOf<Ops>;
}

/** Settles when ovs-vswitchd has done everything up to `configuration` (a value of `next_cfg`). Rejects as `Replica.until` does. */
export async function untilApplied(replica: Replica, configuration: number, options: CallOptions = {}): Promise<void> {
  await replica.until((held) => {
    const [root] = held.table(Configuration).values();
    return root !== undefined && root.cur_cfg >= configuration ? true : null;
  }, options);
}
