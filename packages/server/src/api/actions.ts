/** Actions of one object beside the five verbs: `{method} /v2.0/{collection}/{id}/{name}`, as its resource's rules declare them. */
import { fail } from "@selvage/base";
import type { StoredObject } from "@selvage/model";
import type { Reply } from "../http/exchange.ts";
import type { MemberAction, ReadAction, ResourceRules, Values, WriteAction } from "../rules/rules.ts";
import { type Asked, checkIfMatch, found, foundIn, shownOf, worldOf, write } from "./asked.ts";
import { parseJson } from "./body.ts";
import { render } from "./render.ts";

/** The action of that name; OPTIONS asks as GET does. Throws the 404 of a path that is none, the 405 of a method that it has not. */
export function actionOf(rules: ResourceRules, name: string, method: string): MemberAction {
  const named = (rules.actions ?? []).filter((action) => action.name === name);
  if (named.length === 0) throw fail("HTTPNotFound");
  const action = named.find((each) => each.method === (method === "OPTIONS" ? "GET" : method));
  if (action === undefined) throw fail("HTTPMethodNotAllowed");
  return action;
}

/** Answers a request for an action of the object. Throws the resource's 404, the 403 that names the action's rule, and what the action itself refuses. */
export function act(asked: Asked, rules: ResourceRules, id: string, action: MemberAction): Promise<Reply> | Reply {
  return action.method === "GET" ? answer(asked, rules, id, action) : run(asked, rules, id, action);
}

function answer(asked: Asked, rules: ResourceRules, id: string, action: ReadAction): Reply {
  const world = worldOf(asked.api);
  const object = found(rules, id, asked.caller, world);
  checkAllowed(asked, rules, object, action, world.view);
  return { status: 200, body: action.answer(object, world, asked.caller) };
}

function run(asked: Asked, rules: ResourceRules, id: string, action: WriteAction): Promise<Reply> {
  const { api, exchange, caller } = asked;
  const values = action.read(parseJson(exchange.body));
  const status = action.status ?? (action.method === "DELETE" ? 204 : 200);
  const replyOf = (body: unknown): Reply => (body === undefined ? { status } : { status, body });
  const shown = (object: StoredObject): Reply =>
    replyOf({ [rules.resource.kind]: render(rules, object, caller, worldOf(api)) });
  return write(asked, {
    run: (writing) => {
      const object = foundIn(asked, rules, id, writing);
      checkAllowed(asked, rules, object, action, writing.transaction.view);
      const result = action.run(writing, object, values);
      checkIfMatch(exchange, object);
      return result;
    },
    ids: (result) => ("shows" in result ? [result.shows.id] : []),
    body: (result) => ("shows" in result ? undefined : result.body),
    reply: (result) => ("shows" in result ? shown(result.shows) : replyOf(result.body)),
    repeat: (entry) => {
      const [object] = shownOf(entry, rules);
      return object === undefined ? replyOf(entry.request.reply) : shown(object);
    },
  });
}

function checkAllowed(
  { caller }: Asked,
  rules: ResourceRules,
  object: StoredObject,
  action: MemberAction,
  view: Parameters<ResourceRules["target"]>[0],
): void {
  if (action.allowed(caller, rules.target(view, object as StoredObject & Values))) return;
  throw fail("PolicyNotAuthorized", { rule: `rule:${action.rule ?? action.name}` });
}
