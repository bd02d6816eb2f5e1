/**
 * How long connections are kept that are translated: blocks of ports are small, and a port that stays taken when its connection has ended is lacking
 * (ovs-vswitchd.conf.db(5), "CT_Timeout_Policy"; design, section 3.6). The switch's database says so for each zone.
 */
import {
  CtTimeoutPolicy,
  CtZone,
  Datapath,
  insert,
  mutate,
  named,
  OpenVSwitch,
  type Operation,
  pick,
  type Replica,
  type Uuid,
} from "@selvage/ovsdb";
import { translatedTimeWait } from "../zone-kinds.ts";

const Root = pick(OpenVSwitch, ["datapaths"]);
const Datapaths = pick(Datapath, ["ct_zones"]);
const Zones = pick(CtZone, ["external_ids"]);

/** What is watched for it. */
export const timeoutTables = [Root, Datapaths, Zones] as const;

/** The userspace datapath's own names for what follows a TCP connection's end. */
const timeouts = { tcp_time_wait: translatedTimeWait, tcp_close: translatedTimeWait };
const mark = "selvage";

/** What must be written so that of a kind of datapath these zones, and none of ours besides, forget soon; nothing where it is so. */
export function configureTimeouts(replica: Replica, kind: string, zones: ReadonlySet<number>): readonly Operation[] {
  const [root] = replica.table(Root).values();
  const uuid = root?.datapaths.get(kind);
  const held = uuid === undefined ? undefined : replica.table(Datapaths).get(uuid);
  const ours = [...replica.table(Zones).values()].find(({ external_ids }) => external_ids.get(mark) === "translated");
  const isOurs = (each: Uuid): boolean => replica.table(Zones).get(each)?.external_ids.has(mark) === true;
  const listed = [...(held?.ct_zones ?? [])];
  const gone = listed.filter(([zone, row]) => isOurs(row) && !zones.has(zone)).map(([zone]) => zone);
  const there = new Set(listed.map(([zone]) => zone));
  const come = [...zones].filter((zone) => !there.has(zone));
  if (gone.length === 0 && come.length === 0) return [];
  const zone = ours?._uuid ?? named("translated_zone");
  const made =
    ours !== undefined || come.length === 0
      ? []
      : [
          insert(CtTimeoutPolicy, { timeouts, external_ids: { [mark]: "translated" } }, "translated_policy"),
          insert(
            CtZone,
            { timeout_policy: named("translated_policy"), external_ids: { [mark]: "translated" } },
            "translated_zone",
          ),
        ];
  const entries = new Map(come.map((each) => [each, zone] as const));
  if (held === undefined) {
    return [
      ...made,
      insert(Datapath, { ct_zones: entries }, "translated_datapath"),
      mutate(OpenVSwitch, [], [["datapaths", "insert", new Map([[kind, named("translated_datapath")]])]]),
    ];
  }
  const where = [["_uuid", "==", held._uuid]] as const;
  return [
    ...made,
    ...(gone.length === 0 ? [] : [mutate(Datapath, where, [["ct_zones", "delete", gone]])]),
    ...(come.length === 0 ? [] : [mutate(Datapath, where, [["ct_zones", "insert", entries]])]),
  ];
}
