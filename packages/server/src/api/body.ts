/** A request's body against a declaration: Neutron's order of checks, conversions and wording (`neutron.api.v2.base`, neutron-lib `attributes`). */
import { fail, pythonString, type SelvageError } from "@selvage/base";
import { type AnyResource, type Field, type FieldMode, InvalidValue, protocolNumbers, show } from "@selvage/model";
import { type Caller, isAdmin } from "./policy.ts";

export type Values = Readonly<Record<string, unknown>>;

export interface ParsedBody {
  /** Converted values with the defaults of what was left out; an absent name is for the resource's rules to decide. */
  readonly values: Values;
  /** What the caller set to something other than its default: what the policy looks at. */
  readonly given: ReadonlyMap<string, unknown>;
}

/** Reads a body as JSON. No body at all is an empty object. Throws the 400 that a body of another form gets. */
export function parseJson(body: Uint8Array | undefined): Values {
  if (body === undefined || body.byteLength === 0) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw fail("BodyInvalid");
  }
  if (!isObject(parsed)) throw fail("BodyInvalid");
  return parsed;
}

/** The elements of a create request: the one under the singular key, or those under the plural (`bulk`). */
export function elementsOf(
  resource: AnyResource,
  body: Values,
): { readonly bulk: boolean; readonly items: readonly Values[] } {
  const many = body[resource.plural];
  if (many !== undefined) {
    if (!Array.isArray(many) || many.length === 0) throw fail("ResourcesRequired");
    return {
      bulk: true,
      items: many.map((item) =>
        elementOf(resource, isObject(item) && resource.kind in item ? item : { [resource.kind]: item }),
      ),
    };
  }
  return { bulk: false, items: [elementOf(resource, body)] };
}

/** The object under the singular key. Throws BodyKeyMissing. */
export function elementOf(resource: AnyResource, body: Values): Values {
  const item = body[resource.kind];
  if (!isObject(item)) throw fail("BodyKeyMissing", { resource: resource.kind });
  return item;
}

/** Reads one element of a POST. Throws the 400 of the first thing wrong with it. */
export function createValues(resource: AnyResource, item: Values, caller: Caller): ParsedBody {
  const projectId = projectOf(item, caller);
  refuseUnknown(resource, item);
  const values: Record<string, unknown> = {};
  const given = new Map<string, unknown>();
  for (const name of Object.keys(item)) {
    if (fieldOf(resource, name)?.create === "refused") throw fail("AttributeNotAllowedInPost", { attribute: name });
  }
  for (const [name, field] of fieldsOf(resource)) {
    if (field.mode === "alias") continue;
    if (name in item) {
      const value = convert(name, field, item[name]);
      values[name] = value;
      if (JSON.stringify(value) !== JSON.stringify(field.default)) given.set(name, value);
    } else if (field.create === "required") {
      throw fail("AttributeRequired", { attribute: name });
    } else if (field.default !== undefined) {
      values[name] = field.default;
    }
  }
  if (fieldOf(resource, "project_id") !== undefined) values.project_id = projectId;
  return { values, given };
}

/** Reads the element of a PUT: only what it changes. Throws the 400 of the first thing wrong with it. */
export function updateValues(resource: AnyResource, item: Values): ParsedBody {
  refuseUnknown(resource, item);
  for (const name of Object.keys(item)) {
    if (fieldOf(resource, name)?.update === "refused") throw fail("AttributeReadOnly", { attribute: name });
  }
  const values: Record<string, unknown> = {};
  const given = new Map<string, unknown>();
  for (const [name, field] of fieldsOf(resource)) {
    if (!(name in item)) continue;
    values[name] = convert(name, field, item[name]);
    given.set(name, values[name]);
  }
  return { values, given };
}

/** The names of protocols as Neutron lists them. */
const protocols = `[None, ${Object.keys(protocolNumbers).map(pythonString).join(", ")}]`;

/** The error of a value that its type refused: conversions (booleans, CIDRs) say InvalidInput, validators HTTPBadRequest. */
export function invalidValue(attribute: string, typeName: string, input: unknown, refused: InvalidValue): SelvageError {
  const reason = refused.reason.replace(/\.$/, "");
  switch (typeName) {
    case "boolean":
      return fail("InvalidInput", { error_message: reason }, { field: attribute });
    case "cidr":
      return fail("InvalidInput", { error_message: `${show(input)} is not in a CIDR format` }, { field: attribute });
    case "port number":
      return fail("SecurityGroupInvalidPortValue", { port: show(input) }, { field: attribute });
    case "protocol":
      return fail(
        "SecurityGroupRuleInvalidProtocol",
        { protocol: show(input), values: protocols },
        { field: attribute },
      );
    case "ip prefix":
      return fail("InvalidCIDR", { input: show(input) }, { field: attribute });
    default:
      return fail("AttributeInvalid", { attribute, reason }, { field: attribute });
  }
}

function convert(name: string, field: AnyField, input: unknown): unknown {
  try {
    return field.type.parse(input);
  } catch (error) {
    if (error instanceof InvalidValue) throw invalidValue(name, field.type.name, input, error);
    throw error;
  }
}

/** The owner of what is created: the token's project, or another one when an admin names it. */
function projectOf(item: Values, caller: Caller): string {
  const named = [item.project_id, item.tenant_id].filter((each) => each !== undefined);
  const [first, second] = named;
  if (first === undefined) return caller.projectId ?? "";
  if (typeof first !== "string" || (second !== undefined && typeof second !== "string")) {
    throw fail("AttributeInvalid", { attribute: "tenant_id", reason: `'${show(first)}' is not a valid string` });
  }
  if (second !== undefined && first !== second) {
    throw fail("HTTPBadRequest", { message: "'project_id' and 'tenant_id' do not match" });
  }
  if (first !== caller.projectId && !isAdmin(caller, { projectId: first })) throw fail("ProjectOfOther");
  return first;
}

function refuseUnknown(resource: AnyResource, item: Values): void {
  const unknown = Object.keys(item).filter((name) => !isWire(resource, name));
  if (unknown.length > 0) throw fail("AttributesUnrecognized", { attributes: unknown.join(", ") });
}

export type AnyField = Field<unknown, FieldMode>;

/** The declared field, if there is one of that name that any wire may carry. */
export function fieldOf(resource: AnyResource, name: string): AnyField | undefined {
  return isWire(resource, name) ? (resource.fields as Readonly<Record<string, AnyField>>)[name] : undefined;
}

/** The fields that a wire may carry, in the order of their declaration. */
export function fieldsOf(resource: AnyResource): readonly (readonly [string, AnyField])[] {
  return Object.entries(resource.fields as Readonly<Record<string, AnyField>>).filter(
    ([, field]) => field.readers !== "hidden",
  );
}

function isWire(resource: AnyResource, name: string): boolean {
  const fields = resource.fields as Readonly<Record<string, AnyField>>;
  return Object.hasOwn(fields, name) && fields[name]?.readers !== "hidden";
}

function isObject(value: unknown): value is Values {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
