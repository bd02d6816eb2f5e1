/**
 * Security groups: what a port here may send and get, by the rules of its groups (Networking v2.0, `/v2.0/security-groups`; pipeline design, section 4). A
 * member that joins a group costs its own host two rows and every other host none; what rules cost does not grow with members.
 */
import { derive, Port, SecurityGroupRule, SecurityGroupSet } from "@selvage/model";
import { DstId, LiveIn, LiveOut, PolicyIn, PolicyOut, Receiver, RemoteId, row, Sender } from "@selvage/pipeline";
import { app } from "../app.ts";
import { isHere } from "../intent.ts";
import { memberRows } from "../policy/members.ts";
import { remoteSetRows, ruleRows } from "../policy/rules.ts";
import { isStateful } from "../policy/sets.ts";

const tables = [Sender, Receiver, PolicyOut, PolicyIn, LiveOut, LiveIn, DstId, RemoteId];

export const securityGroups = app("security-groups", tables, (here) => [
  derive("policed port", Port, (port, view) => {
    const set = port.security_group_set;
    if (set === 0 || !isHere(view, port, here.name)) return [];
    const [srcPort, dstPort] = [port.key, port.key];
    if (!isStateful(view, set))
      return [row(Sender, { srcPort }, "stateless", { set }), row(Receiver, { dstPort }, "stateless", { set })];
    return [
      row(Sender, { srcPort }, "policed", { set, zone: port.id }),
      row(Receiver, { dstPort }, "policed", { set, zone: port.id }),
    ];
  }),
  derive("rule", SecurityGroupRule, (rule, view) => ruleRows(rule, view, here.name)),
  derive("remote set", SecurityGroupSet, (set, view) => remoteSetRows(set, view, here.name)),
  derive("member", Port, (port, view) => memberRows(port, view, here.name)),
]);
