/** What a Networking resource adds to its declaration: policy, rules for each write, and the fields made when it is read. */
import { fail, type SelvageError } from "@selvage/base";
import { type AnyResource, type ObjectOf, Project, type StoredObject, type View } from "@selvage/model";
import type { Caller, Policy, Target } from "../api/policy.ts";
import type { HostStates } from "../host-states.ts";
import type { ServerSettings } from "../settings.ts";
import type { Transaction } from "../transaction.ts";

/** What a reply is made from. */
export interface World {
  readonly view: View;
  readonly hosts: HostStates;
  readonly settings: ServerSettings;
}

/** What a write's rules stand in. */
export interface Writing {
  readonly transaction: Transaction;
  readonly caller: Caller;
  readonly settings: ServerSettings;
}

/** Converted values of a body, by attribute. */
export type Values = Readonly<Record<string, unknown>>;

export interface ResourceRules<R extends AnyResource = AnyResource> {
  readonly resource: R;
  readonly notFound: (id: string) => SelvageError;
  readonly policy: Policy;
  /** Whom and what the policy looks at, of a stored object or of the values of a POST. */
  readonly target: (view: View, object: Values) => Target;
  /** Objects that a caller may see besides its project's: shared ones, those on what it owns. */
  readonly alsoVisible?: (view: View, caller: Caller) => Iterable<StoredObject>;
  /** Fields made when the object is read. */
  readonly computed: Readonly<Record<string, (object: ObjectOf<R>, world: World) => unknown>>;
  /** Special filters: of one attribute's raw values, whether an object passes. */
  readonly filters?: Readonly<Record<string, (values: readonly string[]) => (object: ObjectOf<R>) => boolean>>;
  readonly create: (writing: Writing, values: Values) => ObjectOf<R>;
  readonly update: (writing: Writing, before: ObjectOf<R>, values: Values) => ObjectOf<R>;
  /** Checks and removes. `precondition` says 412 where the request carried one: a conflict of the resource's own wins over it. */
  readonly remove: (writing: Writing, object: ObjectOf<R>, precondition: () => void) => void;
}

/** The standard attributes of a new object. `revision`: what Neutron shows right after creation, 0 or 1. */
export function standardOf(writing: Writing, values: Values, revision: 0 | 1) {
  const { transaction } = writing;
  const projectId = String(values.project_id);
  if (!transaction.view.has(Project, projectId)) {
    throw fail("HTTPBadRequest", { message: `Project ${projectId} could not be found.` }, { field: "project_id" });
  }
  return {
    id: transaction.newId(),
    project_id: projectId,
    name: String(values.name),
    description: String(values.description),
    revision_number: revision,
    created_at: transaction.now,
    updated_at: transaction.now,
  };
}
