/** How a host gets its identity: a single-use token and a certificate request against a certificate; later a new one for the old. */
import {
  type Counter,
  type ErrorCode,
  fail,
  hashOfSecret,
  isError,
  type Log,
  type Metrics,
  signHostRequest,
} from "@selvage/base";
import { canonicalIp, Host, JoinToken } from "@selvage/model";
import type { Author } from "@selvage/store";
import { type JoinReply, JoinRequest, type RenewReply, RenewRequest } from "@selvage/sync";
import { Compile } from "typebox/compile";
import { authorityOf } from "../identity/bootstrap.ts";
import { Throttle } from "../identity/throttle.ts";
import { secondsText, type Transaction } from "../transaction.ts";
import type { Writer } from "../writer.ts";
import type { Peer, Peers } from "./peers.ts";

export interface AdmissionOptions {
  readonly writer: Pick<Writer, "replica" | "transact">;
  readonly peers: Peers;
  readonly now: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
}

const joinRequest = Compile(JoinRequest);
const renewRequest = Compile(RenewRequest);
const minute = 60_000;

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #sources: Throttle;
  readonly #joined: Counter;
  readonly #refused: Counter<"reason">;

  constructor(options: AdmissionOptions) {
    const { now, metrics } = options;
    this.#options = options;
    this.#sources = new Throttle({
      now,
      free: 10,
      first: 1_000,
      longest: minute,
      forget: 15 * minute,
      capacity: 10_000,
    });
    this.#joined = metrics.counter({ name: "joins_total", help: "Hosts that joined" });
    this.#refused = metrics.counter({
      name: "joins_refused_total",
      help: "Joins that were refused, by reason",
      labels: ["reason"],
    });
  }

  /**
   * Joins a host. Takes the request's body as parsed JSON and where it came from (for the rate of failures alone).
   * Throws JoinTokenInvalid, JoinTokenUsed, JoinTokenExpired, CertificateRequestInvalid, FieldInvalid, TooManyAttempts.
   */
  async join(body: unknown, source: string): Promise<JoinReply> {
    const wait = this.#sources.wait(source);
    if (wait > 0) throw fail("TooManyAttempts", undefined, { retryAfter: Math.ceil(wait / 1000) });
    if (!joinRequest.Check(body)) throw misfit(joinRequest.Errors(body));
    const hash = hashOfSecret(body.token);
    try {
      const reply = await this.#admit(body, hash);
      this.#sources.succeeded(source);
      this.#joined.inc();
      this.#options.log.info("a host joined", { host: reply.host.name, id: reply.host.id, source });
      return reply;
    } catch (error) {
      if (isError(error, "JoinTokenInvalid", "JoinTokenUsed", "JoinTokenExpired")) {
        this.#sources.failed(source);
        await this.#record(error.code, hash, source);
      }
      throw error;
    }
  }

  /** Signs a new certificate for the host that asks with its present one; the present one holds until the new one is used. */
  async renew(body: unknown, peer: Peer): Promise<RenewReply> {
    const { writer, peers, log, now } = this.#options;
    if (!renewRequest.Check(body)) throw misfit(renewRequest.Errors(body));
    if (peers.standing(peer) === "next") throw fail("CertificateInvalid", { reason: "it has not been used yet" });
    const host = writer.replica.get(Host, peer.hostId);
    if (host === undefined) throw fail("HostUnknown", { id: peer.hostId });
    const authority = authorityOf(writer.replica);
    const signed = await signHostRequest(authority, body.csr, { hostId: host.id, hostName: host.name, now: now() });
    peers.standing(peer);
    peers.expect({ hostId: host.id, fingerprint: signed.fingerprint });
    log.info("a host's certificate was renewed", { host: host.name });
    return { certificate: signed.certificatePem, ca: authority.certificatePem };
  }

  async #admit(body: JoinRequest, hash: string): Promise<JoinReply> {
    const { writer, peers, now } = this.#options;
    const { host: named } = this.#usable(writer.replica, hash);
    const tunnelIp = body.tunnel_ip === undefined ? undefined : address(body.tunnel_ip);
    const authority = authorityOf(writer.replica);
    const signed = await signHostRequest(authority, body.csr, { hostId: named.id, hostName: named.name, now: now() });
    const author: Author = { kind: "host", id: named.id, request_id: "join" };
    const { result: host } = await writer.transact(author, (transaction) => {
      const { token, host: before } = this.#usable(transaction.view, hash);
      const [other] = tunnelIp === undefined ? [] : transaction.view.by(Host.index.tunnelIp, tunnelIp);
      if (other !== undefined && other.id !== before.id) {
        const reason = `${tunnelIp} is where the tunnels of host ${other.name} end`;
        throw fail("FieldInvalid", { field: "tunnel_ip", reason }, { field: "tunnel_ip" });
      }
      transaction.put(JoinToken, { ...token, used_at: transaction.now });
      return transaction.put(Host, {
        ...before,
        tunnel_ip: tunnelIp ?? before.tunnel_ip,
        certificate_fingerprint: signed.fingerprint,
        joined_at: transaction.now,
      });
    });
    peers.settle(host.id);
    return {
      certificate: signed.certificatePem,
      ca: authority.certificatePem,
      host: { id: host.id, name: host.name, key: host.key },
    };
  }

  /** The token and its host, when it may be used now. Throws why not. */
  #usable(view: Transaction["view"], hash: string): { readonly token: JoinToken; readonly host: Host } {
    const [token] = view.by(JoinToken.index.hash, hash);
    const host = token === undefined ? undefined : view.get(Host, token.host_id);
    if (token === undefined || host === undefined || token.revoked) throw fail("JoinTokenInvalid");
    if (token.used_at !== null) throw fail("JoinTokenUsed", { host: host.name });
    if (token.expires_at <= secondsText(this.#options.now())) throw fail("JoinTokenExpired", { at: token.expires_at });
    return { token, host };
  }

  /** A refused token leaves a trace: in the log, in the metric, and in the count of the token itself where it is known. */
  async #record(code: ErrorCode, hash: string, source: string): Promise<void> {
    const { writer, log } = this.#options;
    this.#refused.inc({ reason: code });
    const [known] = writer.replica.by(JoinToken.index.hash, hash);
    const host = known === undefined ? undefined : writer.replica.get(Host, known.host_id)?.name;
    log.warn("a join was refused", { reason: code, source, ...(host === undefined ? {} : { host }) });
    if (known === undefined) return;
    try {
      await writer.transact({ kind: "system", id: "join", request_id: "join" }, (transaction) => {
        const token = transaction.view.get(JoinToken, known.id);
        if (token !== undefined) transaction.put(JoinToken, { ...token, refused: token.refused + 1 });
      });
    } catch (error) {
      if (!isError(error)) throw error;
      log.warn("the refused join could not be counted", { error });
    }
  }
}

function misfit(errors: Iterable<{ readonly instancePath: string; readonly message: string }>) {
  const [first] = errors;
  const field = first?.instancePath.slice(1) || "body";
  return fail("FieldInvalid", { field, reason: first?.message ?? "it does not fit" }, { field });
}

function address(text: string): string {
  const canonical = canonicalIp(text);
  if (canonical !== undefined) return canonical;
  throw fail("FieldInvalid", { field: "tunnel_ip", reason: `"${text}" is not an address` }, { field: "tunnel_ip" });
}
