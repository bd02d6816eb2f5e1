/** The demo: two projects with the same address range, a network and two machines each, and the pings that prove reach within and none between. */

import { randomBytes } from "node:crypto";
import { type Api, at, firstOf, needText, openApi } from "./api.ts";
import { type DataPaths, readRecord, writeRecord } from "./paths.ts";

/** The addresses that both projects use. */
export const DEMO_RANGE = { ipv4: "10.0.0.0/24", ipv6: "fd00::/64" } as const;

/** A machine of the demo. */
export interface DemoMachine {
  readonly port: string;
  readonly host: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

/** A project of the demo. */
export interface DemoProject {
  readonly name: string;
  readonly machines: readonly [DemoMachine, DemoMachine];
}

/**
 * Which machines the demo has and where. The first addresses of both projects are equal; the second ones differ,
 * so that an answer across projects would have to come from the other project.
 * @param hosts at least one name; with two or more, the machines of a project are on different hosts
 */
export function demoPlan(hosts: readonly string[]): readonly DemoProject[] {
  const host = (index: number): string => hosts[index % hosts.length] ?? "h1";
  const machine = (project: string, number: number, last: number, hostIndex: number): DemoMachine => ({
    port: `${project}-${number}`,
    host: host(hostIndex),
    ipv4: `10.0.0.${last}`,
    ipv6: `fd00::${last}`,
  });
  return [
    { name: "red", machines: [machine("red", 1, 11, 0), machine("red", 2, 12, 1)] },
    { name: "blue", machines: [machine("blue", 1, 11, 1), machine("blue", 2, 13, hosts.length > 2 ? 2 : 0)] },
  ];
}

/** One ping and what it shall show. */
export interface DemoPing {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly expected: "reached" | "silence";
}

/** The pings that prove the demo: within each project by IPv4 and IPv6, and from each project to the other's own address. */
export function demoPings(plan: readonly DemoProject[]): readonly DemoPing[] {
  return plan.flatMap((project) => {
    const [first, second] = project.machines;
    const own = [second.ipv4, second.ipv6].map(
      (address): DemoPing => ({ from: first.port, to: second.port, address, expected: "reached" }),
    );
    const taken = new Set(project.machines.map((machine) => machine.ipv4));
    const others = plan.flatMap((other) =>
      other === project ? [] : other.machines.filter((machine) => !taken.has(machine.ipv4)),
    );
    const foreign = others.flatMap((machine) =>
      [machine.ipv4, machine.ipv6].map(
        (address): DemoPing => ({ from: first.port, to: machine.port, address, expected: "silence" }),
      ),
    );
    return [...own, ...foreign];
  });
}

/** A demo project's user. */
export interface DemoUser {
  readonly project: string;
  readonly user: string;
  readonly password: string;
}

function isUser(value: unknown): value is DemoUser {
  return (
    typeof at(value, "project") === "string" &&
    typeof at(value, "user") === "string" &&
    typeof at(value, "password") === "string"
  );
}

/** The demo's users as they are recorded; empty before the first `up`. */
export async function readDemoUsers(paths: DataPaths): Promise<readonly DemoUser[]> {
  const value = await readRecord(paths.demoRecord);
  return Array.isArray(value) ? value.filter(isUser) : [];
}

async function ensureUser(admin: Api, project: string, recorded: readonly DemoUser[]): Promise<DemoUser> {
  const named = `name=${encodeURIComponent(project)}`;
  const foundProject = await firstOf(admin, `/identity/v3/projects?${named}`, "projects");
  const projectObject =
    foundProject ??
    at(
      await admin.ask("POST", "/identity/v3/projects", { project: { name: project, domain_id: "default" } }),
      "project",
    );
  const projectId = needText(projectObject, "id");
  const known = recorded.find((user) => user.project === project);
  const wish: DemoUser = known ?? { project, user: project, password: randomBytes(18).toString("base64url") };
  const foundUser = await firstOf(admin, `/identity/v3/users?name=${encodeURIComponent(wish.user)}`, "users");
  let userId: string;
  if (foundUser === undefined) {
    const made = await admin.ask("POST", "/identity/v3/users", {
      user: { name: wish.user, password: wish.password, domain_id: "default", default_project_id: projectId },
    });
    userId = needText(at(made, "user"), "id");
  } else {
    userId = needText(foundUser, "id");
    if (known === undefined)
      await admin.ask("PATCH", `/identity/v3/users/${userId}`, { user: { password: wish.password } });
  }
  const role = needText(await firstOf(admin, "/identity/v3/roles?name=member", "roles"), "id");
  await admin.ask("PUT", `/identity/v3/projects/${projectId}/users/${userId}/roles/${role}`);
  return wish;
}

async function ensureNetwork(api: Api, project: DemoProject): Promise<void> {
  const name = `${project.name}-net`;
  const find = (kind: string, query: string): Promise<unknown> => firstOf(api, `/v2.0/${kind}?${query}`, kind);
  const network =
    (await find("networks", `name=${name}`)) ??
    at(await api.ask("POST", "/v2.0/networks", { network: { name } }), "network");
  const network_id = needText(network, "id");
  const subnet = async (wish: Readonly<Record<string, unknown>> & { readonly name: string }): Promise<string> => {
    const found = await find("subnets", `name=${wish.name}&network_id=${network_id}`);
    return needText(
      found ?? at(await api.ask("POST", "/v2.0/subnets", { subnet: { ...wish, network_id } }), "subnet"),
      "id",
    );
  };
  const four = await subnet({ name: `${project.name}-v4`, ip_version: 4, cidr: DEMO_RANGE.ipv4, enable_dhcp: true });
  const six = await subnet({ name: `${project.name}-v6`, ip_version: 6, cidr: DEMO_RANGE.ipv6, enable_dhcp: false });
  for (const machine of project.machines) {
    if ((await find("ports", `name=${machine.port}&network_id=${network_id}`)) !== undefined) continue;
    const fixed_ips = [
      { subnet_id: four, ip_address: machine.ipv4 },
      { subnet_id: six, ip_address: machine.ipv6 },
    ];
    await api.ask("POST", "/v2.0/ports", { port: { name: machine.port, network_id, fixed_ips } });
  }
}

/**
 * Makes the demo's projects, users, networks, subnets and ports, each only if it is not there. The networks are made by the
 * projects' own users, as a tenant would.
 */
export async function ensureDemo(admin: Api, plan: readonly DemoProject[], paths: DataPaths): Promise<void> {
  const recorded = await readDemoUsers(paths);
  const users: DemoUser[] = [];
  for (const project of plan) users.push(await ensureUser(admin, project.name, recorded));
  if (JSON.stringify(users) !== JSON.stringify(recorded)) await writeRecord(paths.demoRecord, users);
  await Promise.all(
    plan.map((project, index) => {
      const user = users[index];
      if (user === undefined) return Promise.resolve();
      const api = openApi({ url: admin.url, user: user.user, password: user.password, project: user.project });
      return ensureNetwork(api, project);
    }),
  );
}
