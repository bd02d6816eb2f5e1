/** What a Networking resource adds to its declaration: policy, rules for each write, and the fields made when it is read. */
import { fail, type SelvageError } from "@selvage/base";
import { type AnyResource, type ObjectOf, Project, type Replica, type StoredObject, type View } from "@selvage/model";
import type { Caller, Policy, Rule, Target } from "../api/policy.ts";
import type { HostStates } from "../host-states.ts";
import type { Query } from "../http/query.ts";
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

/** What a collection and its objects can be asked for, beside the actions of their own. */
export type Verb = "list" | "show" | "create" | "update" | "delete";
export const allVerbs: readonly Verb[] = ["list", "show", "create", "update", "delete"];

/** What an action answers: the object as a GET shows it, under its singular key, or a body of the action's own (undefined: none). */
export type ActionReply = { readonly shows: StoredObject } | { readonly body: Values | undefined };

interface Action {
  /** Last part of the path `/v2.0/{collection}/{id}/{name}`. */
  readonly name: string;
  /** Who may, after the resource's own `get` let the caller see the object (else its 404). */
  readonly allowed: Rule;
  /** Name of the policy's rule in the 403; absent: the action's own. */
  readonly rule?: string;
}

/** An action that writes (`add_router_interface`): runs in one transaction, and a named retry gets the first's reply. */
export interface WriteAction<O extends StoredObject = StoredObject> extends Action {
  readonly method: "PUT" | "POST" | "DELETE";
  /** Status of the reply; absent: 200, for DELETE 204. */
  readonly status?: number;
  /** Reads the body. Throws the 400 of what is wrong with its form. */
  readonly read: (body: Values) => Values;
  readonly run: (writing: Writing, object: O, values: Values) => ActionReply;
}

/** An action that only reads (`GET /networks/{id}/dhcp-agents`). */
export interface ReadAction<O extends StoredObject = StoredObject> extends Action {
  readonly method: "GET";
  readonly answer: (object: O, world: World, caller: Caller) => Values;
}

export type MemberAction<O extends StoredObject = StoredObject> = WriteAction<O> | ReadAction<O>;

/** Objects that stand in no store: made from others when they are read. */
export interface MadeObjects<O extends StoredObject> {
  readonly all: (world: World & { readonly view: Replica }, caller: Caller, query: Query) => Iterable<O>;
  readonly one: (world: World, id: string, caller: Caller) => O | undefined;
}

/** What a project must have before anything of this kind of it is made or listed: its default security group. */
export interface Preparation {
  /** Whether it lacks it. Asked in every GET and POST of the collection: constant time. */
  readonly missing: (view: View, projectId: string) => boolean;
  /** Makes it: in the transaction of a POST, or in one of its own for a GET. Only called when it is missing and the project is there. */
  readonly make: (writing: Writing, projectId: string) => void;
}

/** How objects of a kind are shared. */
export interface Sharing<O extends StoredObject> {
  readonly actions: readonly string[];
  /** Projects that use the object now by what an action gives: a policy that one of them needs stays. */
  readonly users: (view: View, object: O, action: string) => Iterable<string>;
  /** Why a policy stays whoever uses the object; absent, undefined: it need not. */
  readonly kept?: (object: O, target: string, action: string) => string | undefined;
  /** Why a policy that somebody needs stays. */
  readonly needed: (object: O, target: string, action: string) => string;
  /** Called when a policy came or went. */
  readonly settle?: (writing: Writing, object: O) => void;
  /** Throws what stands against giving the object to a target. */
  readonly check?: (view: View, object: O, target: string) => void;
}

export interface ResourceRules<R extends AnyResource = AnyResource> {
  readonly resource: R;
  /** The collection in a URL where it is not the plural of the JSON: `security-groups`. */
  readonly path?: string;
  /** What the policy calls it where that is not its kind. */
  readonly policyName?: string;
  /** Absent: all five. */
  readonly verbs?: readonly Verb[];
  readonly actions?: readonly MemberAction<ObjectOf<R>>[];
  /** Absent: they are stored. */
  readonly made?: MadeObjects<ObjectOf<R>>;
  readonly prepare?: Preparation;
  readonly notFound: (id: string) => SelvageError;
  readonly policy: Policy;
  /** Whether its `network_id` must be a network of the caller's, or one that was given to it: external is not enough. */
  readonly standsOnNetwork?: true;
  /** Whom and what the policy looks at, of a stored object or of the values of a POST. */
  readonly target: (view: View, object: Values) => Target;
  /** Objects that a caller may see besides its project's: shared ones, those on what it owns. */
  readonly alsoVisible?: (view: View, caller: Caller) => Iterable<StoredObject>;
  /** Stored fields that are shown otherwise than they are stored. */
  readonly shown?: Readonly<Record<string, (object: ObjectOf<R>, world: World) => unknown>>;
  /** Fields made when the object is read. */
  readonly computed: Readonly<Record<string, (object: ObjectOf<R>, world: World, caller: Caller) => unknown>>;
  /** What is made with each of its own accord, and counts against a quota of its own kind. */
  readonly brings?: { readonly kind: string; readonly count: number };
  /** Objects that RBAC policies may give to other projects. */
  readonly sharing?: Sharing<ObjectOf<R>>;
  /** Special filters: of one attribute's raw values, whether an object passes. */
  readonly filters?: Readonly<
    Record<string, (values: readonly string[], world: World) => (object: ObjectOf<R>) => boolean>
  >;
  /** Throws what stands against the values of one POST of many, taken together. */
  readonly together?: (values: readonly Values[]) => void;
  readonly create: (writing: Writing, values: Values) => ObjectOf<R>;
  readonly update: (writing: Writing, before: ObjectOf<R>, values: Values) => ObjectOf<R>;
  /** Checks and removes. `precondition` says 412 where the request carried one: a conflict of the resource's own wins over it. */
  readonly remove: (writing: Writing, object: ObjectOf<R>, precondition: () => void) => void;
}

/** The collection as a URL names it. */
export function pathOf(rules: { readonly resource: AnyResource; readonly path?: string }): string {
  return rules.path ?? rules.resource.plural;
}

export function hasVerb(rules: { readonly verbs?: readonly Verb[] }, verb: Verb): boolean {
  return (rules.verbs ?? allVerbs).includes(verb);
}

/** The standard attributes of a new object that can be tagged. */
export function taggedOf(writing: Writing, values: Values, revision: 0 | 1) {
  const tags = (values.tags ?? []) as readonly string[];
  return { ...standardOf(writing, values, revision), tags: [...tags].sort() };
}

/** The project that a new object is of. Throws when there is none such. */
export function ownerOf({ transaction }: Writing, values: Values): string {
  const projectId = String(values.project_id);
  if (transaction.view.has(Project, projectId)) return projectId;
  throw fail("HTTPBadRequest", { message: `Project ${projectId} could not be found.` }, { field: "project_id" });
}

/** The standard attributes of a new object. `revision`: what Neutron shows right after creation, 0 or 1. */
export function standardOf(writing: Writing, values: Values, revision: 0 | 1) {
  const { transaction } = writing;
  return {
    id: transaction.newId(),
    project_id: ownerOf(writing, values),
    name: String(values.name),
    description: String(values.description),
    revision_number: revision,
    created_at: transaction.now,
    updated_at: transaction.now,
  };
}
