/** `/v1/hosts`: the machines that may join, and the single-use tokens by which they do. Admin only. */
import { fail, hashOfSecret, secretToken } from "@selvage/base";
import { defaultZone, Host, JoinToken, Port } from "@selvage/model";
import { pickHostKey } from "../allocate.ts";
import type { Caller } from "../api/policy.ts";
import type { Exchange, Reply } from "../http/exchange.ts";
import { authorityFingerprint } from "../identity/bootstrap.ts";
import { identityAuthor } from "../identity/service.ts";
import { leaveOutsideAsHost } from "../rules/host-gateways.ts";
import { settleHost } from "../rules/nat-leases.ts";
import { putPort } from "../rules/security-group-sets.ts";
import { secondsText, type Transaction } from "../transaction.ts";
import type { OwnApi } from "./own.ts";
import { readOwnBody, requireOwnAdmin, textOf } from "./request.ts";

/** A host's name stands in `binding:host_id`, in certificates and in file names: letters, digits, dots and dashes (RFC 1123). */
const hostName = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;

export function hostWire(api: OwnApi, host: Host) {
  const state = api.hosts.of(host.id);
  return {
    id: host.id,
    name: host.name,
    key: host.key,
    tunnel_ip: host.tunnel_ip,
    availability_zone: host.availability_zone,
    admin_state_up: host.admin_state_up,
    joined_at: host.joined_at,
    created_at: host.created_at,
    alive: state.alive,
    in_force: state.inForce ?? null,
  };
}

/**
 * POST /v1/hosts `{name, availability_zone?}`: makes the host, or takes one that has not joined yet, and a token by which it joins once within
 * the hour. The token is shown here and nowhere else; earlier ones of the host hold no more. Throws HostExists once it has joined.
 */
export async function createHost(api: OwnApi, exchange: Exchange, caller: Caller): Promise<Reply> {
  requireOwnAdmin(caller, "Adding a host");
  const body = readOwnBody(exchange);
  const name = textOf(body, "name");
  const zone = "availability_zone" in body ? textOf(body, "availability_zone") : undefined;
  if (zone !== undefined && (zone === "" || zone.length > 255)) {
    const reason = "it must be a text of 1 to 255 characters";
    throw fail("FieldInvalid", { field: "availability_zone", reason }, { field: "availability_zone" });
  }
  if (!hostName.test(name)) {
    throw fail(
      "FieldInvalid",
      { field: "name", reason: "it must be letters, digits, dots and dashes, at most 253" },
      { field: "name" },
    );
  }
  const token = secretToken();
  const expires_at = secondsText(api.now() + api.settings.joinTokenLifetime * 1000);
  const { result } = await api.writer.transact(identityAuthor(caller, exchange), (transaction) => {
    const known = transaction.view.by(Host.index.name, name)[0] ?? newHost(transaction, name);
    if (known.joined_at !== null) throw fail("HostExists", { host: name });
    const host = zone === undefined ? known : transaction.put(Host, { ...known, availability_zone: zone });
    for (const old of transaction.view.by(JoinToken.index.host_id, host.id)) {
      if (!old.revoked) transaction.put(JoinToken, { ...old, revoked: true });
    }
    transaction.put(JoinToken, {
      id: transaction.newId(),
      host_id: host.id,
      token_hash: hashOfSecret(token),
      expires_at,
      used_at: null,
      refused: 0,
      revoked: false,
    });
    return host;
  });
  const ca_fingerprint = authorityFingerprint(api.writer.replica);
  return { status: 201, body: { host: hostWire(api, result), token, expires_at, ca_fingerprint } };
}

export function listHosts(api: OwnApi, caller: Caller): Reply {
  requireOwnAdmin(caller, "Listing the hosts");
  return { status: 200, body: { hosts: sortedHosts(api).map((host) => hostWire(api, host)) } };
}

export function showHost(api: OwnApi, caller: Caller, idOrName: string): Reply {
  requireOwnAdmin(caller, "Seeing a host");
  const { replica } = api.writer;
  const host = replica.get(Host, idOrName) ?? replica.by(Host.index.name, idOrName)[0];
  if (host === undefined) throw fail("HostNotFound", { id: idOrName });
  return { status: 200, body: { host: hostWire(api, host) } };
}

/**
 * DELETE /v1/hosts/{id or name}: its identity ends at once. Throws HostInUse while ports are bound to it, unless `unbind=true` asks that they
 * be unbound by the same entry: a host that was stolen is cut off by one request, and can read nothing of what it had.
 */
export async function deleteHost(api: OwnApi, exchange: Exchange, caller: Caller, idOrName: string): Promise<Reply> {
  requireOwnAdmin(caller, "Removing a host");
  const { result } = await api.writer.transact(identityAuthor(caller, exchange), (transaction) => {
    const host = transaction.view.get(Host, idOrName) ?? transaction.view.by(Host.index.name, idOrName)[0];
    if (host === undefined) throw fail("HostNotFound", { id: idOrName });
    const ports = transaction.view.by(Port.index.host, host.name);
    if (ports.length > 0 && exchange.query.last("unbind") !== "true") {
      throw fail("HostInUse", { host: host.name, ports: ports.length });
    }
    for (const port of ports) putPort(transaction, { ...port, "binding:host_id": "" });
    leaveOutsideAsHost({ transaction, settings: api.settings }, host.id);
    transaction.remove(Host, host.id);
    return host.id;
  });
  api.hosts.forget(result);
  return { status: 204 };
}

export function sortedHosts(api: OwnApi): readonly Host[] {
  return [...api.writer.replica.objects(Host)].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function newHost(transaction: Transaction, name: string): Host {
  const host = transaction.put(Host, {
    id: transaction.newId(),
    name,
    key: pickHostKey(transaction),
    tunnel_ip: null,
    certificate_fingerprint: null,
    joined_at: null,
    physical_networks: [],
    description: null,
    admin_state_up: true,
    availability_zone: defaultZone,
    created_at: transaction.now,
  });
  // Ports may name a host before it is there.
  const networks = new Set(transaction.view.by(Port.index.host, name).map((port) => port.network_id));
  for (const networkId of networks) settleHost(transaction, networkId, name);
  return host;
}
