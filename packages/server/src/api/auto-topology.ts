/**
 * `/v2.0/auto-allocated-topology/{id}`: a network with subnets of the default pools behind a router to the default external network, made the first time that
 * somebody asks (the id is the project's; extension `auto-allocated-topology`; Neutron's `auto_allocate`; `openstack network auto allocated topology create`).
 */
import { fail } from "@selvage/base";
import { AutoTopology, Network, Port, Router, Subnet, Subnetpool, type View } from "@selvage/model";
import type { AnyRules } from "../rules/all.ts";
import { networkRules } from "../rules/network.ts";
import { checkQuota } from "../rules/quotas.ts";
import { routerRules } from "../rules/router.ts";
import type { Values, Writing } from "../rules/rules.ts";
import { subnetRules } from "../rules/subnet.ts";
import { type Asked, worldOf, writeOwn } from "./asked.ts";
import { createValues } from "./body.ts";
import type { FreeRoute } from "./free.ts";
import { type Caller, isAdmin, member, type Rule, reader } from "./policy.ts";
import { prepareCreate } from "./prepare.ts";

const path = "/v2.0/auto-allocated-topology/{id}";

export const autoTopologyRoutes: readonly FreeRoute[] = Object.freeze([
  { method: "GET", path, access: "policy", answer: show },
  { method: "DELETE", path, access: "policy", answer: remove },
] as const satisfies readonly FreeRoute[]);

const failure = (reason: string) => fail("AutoAllocationFailure", { reason });

/** The project that is meant: of clients that name none, in Python's words, the caller's own. */
const meantBy = ({ caller }: Asked, said: string): string => (said === "None" ? (caller.projectId ?? "") : said);

function show(asked: Asked, said = "") {
  const projectId = meantBy(asked, said);
  requireRole(asked, projectId, reader, "get");
  const { view } = worldOf(asked.api);
  const body = (id: string) => ({ auto_allocated_topology: { id, tenant_id: projectId } });
  if (asked.exchange.query.all("fields").includes("dry-run")) {
    startOf(view);
    return { status: 200, body: body("dry-run=pass") };
  }
  const known = view.get(AutoTopology, projectId);
  if (known !== undefined) return { status: 200, body: body(known.network_id) };
  requireRole(asked, projectId, member, "get");
  return writeOwn(asked, 200, (writing) => {
    // Another request may have made it meanwhile.
    const there = writing.transaction.view.get(AutoTopology, projectId);
    return body(there?.network_id ?? make(writing, projectId));
  });
}

function remove(asked: Asked, said = "") {
  const projectId = meantBy(asked, said);
  requireRole(asked, projectId, member, "delete");
  return writeOwn(asked, 204, (writing) => {
    const { transaction } = writing;
    const known = transaction.view.get(AutoTopology, projectId);
    if (known === undefined) return;
    const router = transaction.view.get(Router, known.router_id);
    const network = transaction.view.get(Network, known.network_id);
    if (router !== undefined) {
      for (const port of transaction.view.by(Port.index.router_id, router.id))
        interfaceAction(writing, router, "remove_router_interface", { port_id: port.id });
      routerRules.remove(writing, transaction.view.get(Router, router.id) ?? router, () => undefined);
    }
    if (network !== undefined) networkRules.remove(writing, network, () => undefined);
  });
}

function requireRole({ caller }: Pick<Asked, "caller">, projectId: string, role: Rule, verb: string): void {
  const target = { projectId };
  if (isAdmin(caller, target) || role(caller, target)) return;
  // Whether another project has one is not told.
  if (!reader(caller, target)) throw fail("HTTPNotFound");
  throw fail("PolicyNotAuthorized", { rule: `rule:${verb}_auto_allocated_topology` });
}

/** What a topology is made from. Throws AutoAllocationFailure when the deployment has none of it. */
function startOf(view: View): { readonly external: Network; readonly pools: readonly Subnetpool[] } {
  const external = view.by(Network.index.external, "external").find((network) => network.is_default);
  if (external === undefined) throw failure("No default router:external network");
  const pools = [4, 6].flatMap((version) => view.by(Subnetpool.index.default, String(version)));
  if (pools.length === 0) throw failure("No default subnetpools defined");
  return { external, pools };
}

/** Makes it all, within the project's quotas. Gives the network's id. Throws AutoAllocationFailure, OverQuota and what stands against a part. */
function make(writing: Writing, projectId: string): string {
  const { transaction, caller } = writing;
  const { external, pools } = startOf(transaction.view);
  const network = created(writing, networkRules as unknown as AnyRules, projectId, { name: "auto_allocated_network" });
  const subnets = pools.map((pool) =>
    created(writing, subnetRules as unknown as AnyRules, projectId, {
      name: `auto_allocated_subnet_v${pool.ip_version}`,
      network_id: network,
      ip_version: pool.ip_version,
      subnetpool_id: pool.id,
    }),
  );
  const router = created(writing, routerRules as unknown as AnyRules, projectId, {
    name: "auto_allocated_router",
    external_gateway_info: { network_id: external.id },
  });
  for (const subnet_id of subnets) {
    const known = transaction.view.get(Router, router);
    const subnet = transaction.view.get(Subnet, subnet_id);
    if (known !== undefined && subnet !== undefined)
      interfaceAction(writing, known, "add_router_interface", { subnet_id });
  }
  transaction.put(AutoTopology, { id: projectId, project_id: projectId, network_id: network, router_id: router });
  return network;

  function created(writing: Writing, rules: AnyRules, project_id: string, said: Values): string {
    const values = valuesOf(rules, { ...said, project_id }, caller);
    prepareCreate(writing, rules, project_id);
    checkQuota(writing, rules, project_id);
    return rules.create(writing, values).id;
  }
}

const valuesOf = (rules: AnyRules, item: Values, caller: Caller): Values =>
  createValues(rules.resource, item, caller).values;

/** An action of the router's own, as a request asks for it. */
function interfaceAction(writing: Writing, router: Router, name: string, body: Values): void {
  const action = routerRules.actions?.find((each) => each.name === name);
  if (action === undefined || action.method === "GET") throw new Error(`a router has no action ${name}`);
  action.run(writing, router, action.read(body));
}
