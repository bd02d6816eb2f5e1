/** What a project must have before its objects of a kind are made or read (its default security group): made on first use, once. */
import { Project, type View } from "@selvage/model";
import type { Preparation, ResourceRules, Writing } from "../rules/rules.ts";
import { type Asked, authorOf, writingOf } from "./asked.ts";
import { isAdmin } from "./policy.ts";

/** Before a GET is answered: in a transaction of its own, for the caller's project, or for the one that an admin filters by. */
export async function prepareRead(asked: Asked, { prepare }: Pick<ResourceRules, "prepare">): Promise<void> {
  if (prepare === undefined) return;
  const { api, exchange, caller } = asked;
  const named = exchange.query.last("project_id") ?? exchange.query.last("tenant_id");
  const projectId = named !== undefined && isAdmin(caller, { projectId: named }) ? named : caller.projectId;
  if (projectId === undefined || !lacks(prepare, api.writer.replica, projectId)) return;
  await api.writer.transact(authorOf(asked), (transaction) => {
    if (lacks(prepare, transaction.view, projectId)) prepare.make(writingOf(asked, transaction), projectId);
  });
}

/** Before an object of the project is made, in the same transaction. */
export function prepareCreate(writing: Writing, { prepare }: Pick<ResourceRules, "prepare">, projectId: string): void {
  if (prepare !== undefined && lacks(prepare, writing.transaction.view, projectId)) prepare.make(writing, projectId);
}

function lacks(prepare: Preparation, view: View, projectId: string): boolean {
  return prepare.missing(view, projectId) && view.has(Project, projectId);
}
