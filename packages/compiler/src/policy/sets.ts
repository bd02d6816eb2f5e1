/**
 * What rules are asked here: sets of security groups of which this host has a port, and which others the rules name. Nobody here reads the members of a group:
 * what is asked of ports is only whether there is one (pipeline design, section 4).
 */
import { keyOf, Port, type QueryingView, query, SecurityGroupRule, SecurityGroupSet } from "@selvage/model";

const sameNumbers = (one: readonly number[], other: readonly number[]): boolean =>
  one.length === other.length && one.every((number, at) => number === other[at]);

const setsOfGroupHere = query(
  "sets of a security group here",
  (view, key): readonly number[] => {
    const [group = "", host = ""] = key.split("|");
    return view
      .by(SecurityGroupSet.index.groups, group)
      .map((set) => set.key)
      .filter((set) => view.exists(Port.index.hostSet, keyOf(host, set)))
      .sort((one, other) => one - other);
  },
  sameNumbers,
);

/** Numbers of the sets with a group that a port bound to this host has, in order. */
export const setsHere = (view: QueryingView, groupId: string, hostName: string): readonly number[] =>
  view.ask(setsOfGroupHere, keyOf(groupId, hostName));

const stateful = query(
  "security group set is stateful",
  (view, number) => view.by(SecurityGroupSet.index.key, number)[0]?.stateful ?? true,
);

/** Whether connections of a set's ports are tracked; those of a set that is not known yet are, and nothing is let in. */
export const isStateful = (view: QueryingView, set: number): boolean => view.ask(stateful, String(set));

const named = query("set named by a rule here", (view, key) => {
  const [set = "", which = "", host = ""] = key.split("|");
  const groups = view.by(SecurityGroupSet.index.key, set)[0]?.groups ?? [];
  return groups.some((group) =>
    view
      .by(SecurityGroupRule.index.remote_group_id, group)
      .some(
        (rule) =>
          (which === "any" || rule.direction === which) && setsHere(view, rule.security_group_id, host).length > 0,
      ),
  );
});

/** Whether a rule of a port's group here names a group of the set: one for what is sent, or any. */
export const isNamedHere = (view: QueryingView, set: number, which: "egress" | "any", hostName: string): boolean =>
  view.ask(named, keyOf(set, which, hostName));
