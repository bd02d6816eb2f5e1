/**
 * The identities of servers and hosts: X.509 certificates on EC P-256 (RFC 5280, PKCS#10 of RFC 2986).
 * A host's identity is what its certificate says in a URI name, `selvage:host:<id>`; its key never leaves it.
 */
import { randomBytes, webcrypto, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type * as x509 from "@peculiar/x509";
import { fail, isError } from "./errors.ts";
import { provideReflectMetadata } from "./reflect.ts";

/** A certificate and the private key that belongs to it, both PEM; the key is PKCS#8. */
export interface KeyPair {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** The one that vouches: what it signs is trusted by all who hold its certificate. Guard its key. */
export interface Authority extends KeyPair {}

/** A signed host certificate and what is worth recording about it. */
export interface HostCertificate {
  readonly certificatePem: string;
  /** SHA-256 of the DER, hex. */
  readonly fingerprint: string;
  /** When it ends, ms since 1970. */
  readonly expiresAt: number;
}

/** How long something is valid: `days` from `now` (ms since 1970, the present unless told). */
export interface Validity {
  readonly days?: number;
  readonly now?: number;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const day = 86_400_000;
/** A certificate is valid from an hour ago, so that a host whose clock is behind accepts it. */
const skew = 3_600_000;
const hostUri = "selvage:host:";
const hostIdForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const longestRequest = 16_384;

/** Loads the library when a certificate is first made: short commands never pay for it. */
async function library(): Promise<typeof x509> {
  provideReflectMetadata();
  const loaded = await import("@peculiar/x509");
  loaded.cryptoProvider.set(webcrypto);
  return loaded;
}

/** Makes a self-signed authority, ten years long unless told. */
export async function createAuthority(options: Validity & { readonly name?: string } = {}): Promise<Authority> {
  const lib = await library();
  const keys = await newKeys();
  const certificate = await lib.X509CertificateGenerator.createSelfSigned({
    ...validity(options, 3650),
    name: [{ CN: [options.name ?? "Selvage authority"] }],
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new lib.BasicConstraintsExtension(true, 0, true),
      new lib.KeyUsagesExtension(lib.KeyUsageFlags.keyCertSign | lib.KeyUsageFlags.cRLSign, true),
      await lib.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
    ],
  });
  return { certificatePem: `${certificate.toString("pem")}\n`, keyPem: await exportKey(lib, keys.privateKey) };
}

/**
 * Makes a key and certificate for a server that answers at these names and addresses, one year long unless told.
 * Throws FieldInvalid where neither a name nor an address is given, or one of the addresses is none.
 */
export async function serverCertificate(
  authority: Authority,
  options: Validity & { readonly names: readonly string[]; readonly ips: readonly string[] },
): Promise<KeyPair> {
  const lib = await library();
  const { names, ips } = options;
  const badIp = ips.find((ip) => isIP(ip) === 0);
  if (badIp !== undefined) throw fail("FieldInvalid", { field: "ips", reason: `"${badIp}" is not an IP address` });
  const first = names[0] ?? ips[0];
  if (first === undefined) throw fail("FieldInvalid", { field: "names", reason: "a server has a name or an address" });
  const keys = await newKeys();
  const certificate = await sign(lib, authority, {
    ...validity(options, 365),
    publicKey: keys.publicKey,
    commonName: first,
    usage: lib.ExtendedKeyUsage.serverAuth,
    alternatives: [
      ...names.map((value) => ({ type: "dns", value }) as const),
      ...ips.map((value) => ({ type: "ip", value }) as const),
    ],
  });
  return { certificatePem: `${certificate.toString("pem")}\n`, keyPem: await exportKey(lib, keys.privateKey) };
}

/** Makes a host's key and the request that it sends with its join token; the name in it is a courtesy and is not trusted. */
export async function createKeyAndRequest(
  hostName: string,
): Promise<{ readonly keyPem: string; readonly csrPem: string }> {
  const lib = await library();
  const keys = await newKeys();
  const request = await lib.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [commonNameOf(hostName, "host")] }],
    keys,
    signingAlgorithm: algorithm,
  });
  return { keyPem: await exportKey(lib, keys.privateKey), csrPem: `${request.toString("pem")}\n` };
}

/**
 * Signs a host's request, ninety days unless told. Only the request's public key is taken from it: who the host is,
 * is what the caller says.
 * Throws CertificateRequestInvalid where the request is unreadable, not signed by its own key, or not of EC P-256;
 * FieldInvalid where the host's id could not be read back from a certificate.
 */
export async function signHostRequest(
  authority: Authority,
  csrPem: string,
  host: Validity & { readonly hostId: string; readonly hostName: string },
): Promise<HostCertificate> {
  if (!hostIdForm.test(host.hostId))
    throw fail("FieldInvalid", {
      field: "hostId",
      reason: "it is 1 to 64 letters, digits, dots, hyphens, underscores",
    });
  const lib = await library();
  const publicKey = await checkedKey(lib, csrPem);
  const certificate = await sign(lib, authority, {
    ...validity(host, 90),
    publicKey,
    commonName: commonNameOf(host.hostName, host.hostId),
    usage: lib.ExtendedKeyUsage.clientAuth,
    alternatives: [{ type: "url", value: hostUri + host.hostId }],
  });
  return {
    certificatePem: `${certificate.toString("pem")}\n`,
    fingerprint: fingerprintOf(new Uint8Array(certificate.rawData)),
    expiresAt: certificate.notAfter.getTime(),
  };
}

/**
 * The host id that a certificate speaks for; takes PEM or DER, as `getPeerCertificate().raw` gives it.
 * It does not check who signed: TLS has done so before it hands a peer's certificate out.
 * Throws CertificateInvalid where it is unreadable or names no host, or more than one.
 */
export function identityOf(certificate: string | Uint8Array): string {
  const names = read(certificate).subjectAltName?.split(", ") ?? [];
  const hosts = names.filter((name) => name.startsWith(`URI:${hostUri}`));
  const [id] = hosts.map((name) => name.slice(`URI:${hostUri}`.length));
  if (id === undefined || hosts.length > 1 || !hostIdForm.test(id))
    throw fail("CertificateInvalid", { reason: hosts.length > 1 ? "it names several hosts" : "it names no host" });
  return id;
}

/** SHA-256 of a certificate's DER, hex; takes PEM or DER. Throws CertificateInvalid where it is unreadable. */
export function fingerprintOf(certificate: string | Uint8Array): string {
  return read(certificate).fingerprint256.replaceAll(":", "").toLowerCase();
}

/** When a certificate ends, ms since 1970; takes PEM or DER. Throws CertificateInvalid where it is unreadable. */
export function expiryOf(certificate: string | Uint8Array): number {
  return read(certificate).validToDate.getTime();
}

function read(certificate: string | Uint8Array): X509Certificate {
  try {
    return new X509Certificate(certificate);
  } catch (cause) {
    throw fail("CertificateInvalid", { reason: "it cannot be read" }, { cause });
  }
}

interface Wanted {
  readonly publicKey: x509.PublicKeyType;
  readonly commonName: string;
  readonly usage: x509.ExtendedKeyUsage;
  readonly alternatives: x509.JsonGeneralNames;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly serialNumber: string;
}

async function sign(lib: typeof x509, authority: Authority, wanted: Wanted): Promise<x509.X509Certificate> {
  const issuer = new lib.X509Certificate(authority.certificatePem);
  return lib.X509CertificateGenerator.create({
    serialNumber: wanted.serialNumber,
    notBefore: wanted.notBefore,
    // What outlives its issuer is refused at a moment that nobody expects.
    notAfter: wanted.notAfter < issuer.notAfter ? wanted.notAfter : issuer.notAfter,
    subject: [{ CN: [wanted.commonName] }],
    issuer: issuer.subjectName.toJSON(),
    publicKey: wanted.publicKey,
    signingKey: await importKey(lib, authority.keyPem),
    signingAlgorithm: algorithm,
    extensions: [
      new lib.BasicConstraintsExtension(false, undefined, true),
      new lib.KeyUsagesExtension(lib.KeyUsageFlags.digitalSignature, true),
      new lib.ExtendedKeyUsageExtension([wanted.usage]),
      new lib.SubjectAlternativeNameExtension(wanted.alternatives),
      await lib.AuthorityKeyIdentifierExtension.create(issuer, false, webcrypto),
      await lib.SubjectKeyIdentifierExtension.create(wanted.publicKey, false, webcrypto),
    ],
  });
}

/** The public key of a request that is what it must be. Throws CertificateRequestInvalid. */
async function checkedKey(lib: typeof x509, csrPem: string): Promise<x509.PublicKey> {
  if (csrPem.length > longestRequest)
    throw fail("CertificateRequestInvalid", { reason: `it is longer than ${longestRequest} characters` });
  try {
    const request = new lib.Pkcs10CertificateRequest(csrPem);
    const { name, namedCurve } = { namedCurve: undefined, ...request.publicKey.algorithm };
    if (name !== "ECDSA" || namedCurve !== "P-256")
      throw fail("CertificateRequestInvalid", { reason: "its key is not an EC P-256 key" });
    if (!(await request.verify(webcrypto)))
      throw fail("CertificateRequestInvalid", { reason: "it is not signed by the key that it holds" });
    return request.publicKey;
  } catch (cause) {
    if (isError(cause)) throw cause;
    throw fail("CertificateRequestInvalid", { reason: "it cannot be read" }, { cause });
  }
}

/** X.520 limits a common name to 64 characters; a longer or empty one gives way. */
function commonNameOf(name: string, otherwise: string): string {
  return name.length > 0 && name.length <= 64 ? name : otherwise;
}

function validity({ days, now = Date.now() }: Validity, usual: number) {
  return {
    notBefore: new Date(now - skew),
    notAfter: new Date(now + (days ?? usual) * day),
    serialNumber: serial(),
  };
}

/** Sixteen random bytes as hex, positive and of full length: the first is 0x40 to 0x7f. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
}

async function exportKey(lib: typeof x509, key: webcrypto.CryptoKey): Promise<string> {
  return `${lib.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY")}\n`;
}

async function importKey(lib: typeof x509, pem: string): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey("pkcs8", lib.PemConverter.decodeFirst(pem), algorithm, false, ["sign"]);
}
