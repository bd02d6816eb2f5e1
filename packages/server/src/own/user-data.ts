/** `/v1/ports/{id}/user-data`: what the metadata service gives a port's machine as user data, where no Nova does; for members of the port's project, and admins. */
import { fail } from "@selvage/base";
import { longestUserData, Port, type View } from "@selvage/model";
import { type Caller, isAdmin, member } from "../api/policy.ts";
import type { Exchange, Reply } from "../http/exchange.ts";
import { identityAuthor } from "../identity/service.ts";
import type { OwnApi } from "./own.ts";
import { readOwnBody, textOf } from "./request.ts";

/** Base64 with its padding (RFC 4648, section 4). */
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The caller's port. Throws NameUnknown, also for one that is another's. */
function portOf(view: Pick<View, "get">, caller: Caller, id: string): Port {
  const port = view.get(Port, id);
  const target = { projectId: port?.project_id ?? "" };
  if (port === undefined || !(isAdmin(caller, target) || member(caller, target)))
    throw fail("NameUnknown", { kind: "port", name: id });
  return port;
}

const shown = (port: Port): Reply => ({
  status: 200,
  body: { user_data: port.user_data === "" ? null : port.user_data },
});

/** GET: `{user_data}`, in base64; null: none. */
export const showUserData = (api: OwnApi, caller: Caller, id: string): Reply =>
  shown(portOf(api.writer.replica, caller, id));

/** PUT `{user_data}`: base64 of what the machine is given. Throws FieldInvalid for what is none, or too long. */
export function putUserData(api: OwnApi, exchange: Exchange, caller: Caller, id: string): Promise<Reply> {
  const given = textOf(readOwnBody(exchange), "user_data");
  const reason = base64.test(given)
    ? given.length > longestUserData
      ? `it has ${given.length} characters, and at most ${longestUserData} are kept`
      : undefined
    : "it is not base64";
  if (reason !== undefined) throw fail("FieldInvalid", { field: "user_data", reason }, { field: "user_data" });
  return write(api, exchange, caller, id, given);
}

/** DELETE: the machine is given none. */
export async function deleteUserData(api: OwnApi, exchange: Exchange, caller: Caller, id: string): Promise<Reply> {
  await write(api, exchange, caller, id, "");
  return { status: 204 };
}

async function write(api: OwnApi, exchange: Exchange, caller: Caller, id: string, user_data: string): Promise<Reply> {
  const { result } = await api.writer.transact(identityAuthor(caller, exchange), (transaction) => {
    const port = portOf(transaction.view, caller, id);
    return port.user_data === user_data ? port : transaction.put(Port, { ...port, user_data });
  });
  return shown(result);
}
