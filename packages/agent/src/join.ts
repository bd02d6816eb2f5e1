/**
 * Joining: this host makes its key, compares the server's authority with the fingerprint that came with the token, and only then sends the
 * token with a certificate request. The key never leaves this host.
 */
import { X509Certificate } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { createKeyAndRequest, fail, fingerprintOf } from "@selvage/base";
import { type HostName, type JoinRequest, joinPath, readJoinReply } from "@selvage/sync";
import { connectTo, type Endpoint, endpointOf, endpointText, post } from "./endpoint.ts";
import { writeIdentity } from "./identity.ts";

export interface JoinOptions {
  /** `https://host:port` or `unix:/path`. */
  readonly url: string;
  /** `SECRET`, or `SECRET.FINGERPRINT` with the authority's SHA-256 in hex behind it. */
  readonly token: string;
  /** Made (0700) when it is not there. */
  readonly dataDir: string;
  /** Where other hosts' tunnels reach this one; it is also said with each connection. */
  readonly tunnelIp?: string;
  /** The authority's fingerprint, where the token does not bear it. */
  readonly caFingerprint?: string;
}

export interface Joined {
  readonly host: HostName;
}

const fingerprintForm = /^[0-9a-f]{64}$/;
const showLimit = 15_000;

/**
 * Joins this host. Over TCP the authority's fingerprint must be known, over a unix socket the file's permissions vouch for the server.
 * Throws UsageInvalid, ServerUnreachable, CertificateInvalid, and what the server refuses with (JoinTokenUsed, …).
 */
export async function joinHost(options: JoinOptions): Promise<Joined> {
  const endpoint = endpointOf(options.url);
  const [secret = "", inToken] = options.token.trim().split(".");
  const expected = (options.caFingerprint ?? inToken)?.replaceAll(":", "").toLowerCase();
  if (secret === "") throw fail("UsageInvalid", { reason: "the join token is empty" });
  if (expected !== undefined && !fingerprintForm.test(expected)) {
    throw fail("UsageInvalid", { reason: "the authority's fingerprint is not 64 hex digits" });
  }
  if (expected === undefined && endpoint.by === "tcp") {
    throw fail("UsageInvalid", {
      reason: "the token bears no fingerprint: give TOKEN.FINGERPRINT, both from `selvage host add`",
    });
  }
  const ca = await authorityAt(endpoint, expected);
  const { keyPem, csrPem } = await createKeyAndRequest(hostname());
  const body: JoinRequest = {
    token: secret,
    csr: csrPem,
    ...(options.tunnelIp === undefined ? {} : { tunnel_ip: options.tunnelIp }),
  };
  const reply = readJoinReply(await post(endpoint, { ca }, joinPath, body));
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  await writeIdentity(options.dataDir, {
    server: endpointText(endpoint),
    ca: reply.ca,
    host: reply.host,
    present: { certificate: reply.certificate, key: keyPem },
  });
  return { host: reply.host };
}

/** The authority that the server shows, PEM. Nothing is sent to it here. Throws ServerUnreachable, CertificateInvalid. */
async function authorityAt(endpoint: Endpoint, expected: string | undefined): Promise<string> {
  const chain = await chainOf(endpoint);
  const authority = chain.find((each) => (expected === undefined ? each.ca : fingerprintOf(each.raw) === expected));
  if (authority === undefined) {
    const reason =
      expected === undefined
        ? "the server shows no authority"
        : "the server's authority is not the one that the token names";
    throw fail("CertificateInvalid", { reason });
  }
  return authority.toString();
}

function chainOf(endpoint: Endpoint): Promise<readonly X509Certificate[]> {
  return new Promise((resolve, reject) => {
    const socket = connectTo(endpoint, { ca: "unchecked" });
    const unreachable = (cause: Error): void => {
      socket.destroy();
      reject(fail("ServerUnreachable", { url: endpointText(endpoint), reason: cause.message }, { cause }));
    };
    socket.setTimeout(showLimit, () => unreachable(new Error("no answer")));
    socket.once("error", unreachable);
    socket.once("secureConnect", () => {
      const chain: X509Certificate[] = [];
      for (let at = socket.getPeerCertificate(true); at?.raw !== undefined; at = at.issuerCertificate) {
        if (chain.some((each) => each.raw.equals(at.raw))) break;
        chain.push(new X509Certificate(at.raw));
      }
      socket.destroy();
      resolve(chain);
    });
  });
}
