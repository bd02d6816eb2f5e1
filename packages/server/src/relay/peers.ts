/**
 * Who is at the other end, from the certificate alone: its URI names a host that is known, and it is the one that the host was given last.
 * A renewed certificate counts from its first use on, so that a lost reply locks nobody out.
 */
import { fail, fingerprintOf, identityOf } from "@selvage/base";
import { Host, type View } from "@selvage/model";

export interface Peer {
  readonly hostId: string;
  /** SHA-256 of the certificate, hex. */
  readonly fingerprint: string;
}

/** Whether a certificate is the host's present one, or one that it was given to replace it. */
export type Standing = "present" | "next";

export class Peers {
  readonly #view: View;
  /** Renewed certificates that were not used yet, the last of each host. */
  readonly #next = new Map<string, string>();

  constructor(view: View) {
    this.#view = view;
  }

  /** Takes the DER of a certificate that TLS has found signed by our authority. Throws CertificateInvalid, HostUnknown, HostRevoked. */
  identify(certificate: Uint8Array): Peer {
    const peer: Peer = { hostId: identityOf(certificate), fingerprint: fingerprintOf(certificate) };
    this.standing(peer);
    return peer;
  }

  /** Throws HostUnknown when the host was removed, HostRevoked when another certificate has taken this one's place. */
  standing({ hostId, fingerprint }: Peer): Standing {
    const host = this.#view.get(Host, hostId);
    if (host === undefined) throw fail("HostUnknown", { id: hostId });
    if (host.certificate_fingerprint === fingerprint) return "present";
    if (host.certificate_fingerprint !== null && this.#next.get(hostId) === fingerprint) return "next";
    throw fail("HostRevoked", { host: host.name });
  }

  /** Notes a certificate that may take the place of the host's present one. */
  expect({ hostId, fingerprint }: Peer): void {
    this.#next.set(hostId, fingerprint);
  }

  /** Forgets what was expected of a host: it was joined anew, removed, or uses its next certificate. */
  settle(hostId: string): void {
    this.#next.delete(hostId);
  }
}
