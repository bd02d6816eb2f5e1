/** What an operator has to look at of physical networks: those that intent names and no host has, as when a name was misspelt (`bridgeMappings` of the agents). */
import { Host, Network, type Replica, segmentsOf } from "@selvage/model";

/** Networks that one line names. */
const namedNetworks = 3;

/** A line for each physical network that networks stand on and no host has, as it said last: `network n stands on physical network x, which no host has`. Cost: the networks. */
export function missingWires(view: Pick<Replica, "by" | "objects" | "exists">): readonly string[] {
  const standing = new Map<string, string[]>();
  for (const network of view.objects(Network))
    for (const { physical_network: physical } of segmentsOf(view, network)) {
      if (physical === null || view.exists(Host.index.physical, physical)) continue;
      const names = standing.get(physical) ?? [];
      // Several of its segments may be on one physical network.
      const name = network.name === "" ? network.id : network.name;
      if (names.at(-1) !== name) names.push(name);
      standing.set(physical, names);
    }
  return [...standing]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([physical, names]) => lineOf(physical, names));
}

function lineOf(physical: string, names: readonly string[]): string {
  const rest = names.length - namedNetworks;
  const named = names.slice(0, namedNetworks).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
  const stand = names.length === 1 ? `network ${named} stands` : `networks ${named} stand`;
  return `${stand} on physical network ${physical}, which no host has`;
}
