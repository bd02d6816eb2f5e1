/** Certificates in real TLS handshakes: both ends prove themselves, strangers are refused, the host's id is read back. */
import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, isIP } from "node:net";
import { test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import {
  createAuthority,
  createKeyAndRequest,
  expiryOf,
  fingerprintOf,
  identityOf,
  type KeyPair,
  serverCertificate,
  signHostRequest,
} from "./certificates.ts";
import { isError } from "./errors.ts";

const authority = await createAuthority();
const stranger = await createAuthority({ name: "Another authority" });
const server = await serverCertificate(authority, { names: ["selvage.test"], ips: ["127.0.0.1", "::1"] });

async function hostOf(signer: KeyPair, hostId: string): Promise<KeyPair> {
  const { keyPem, csrPem } = await createKeyAndRequest("h1");
  return { keyPem, ...(await signHostRequest(signer, csrPem, { hostId, hostName: "h1" })) };
}

interface Meeting {
  readonly trusted: KeyPair;
  readonly server: KeyPair;
  readonly client?: KeyPair;
  /** Whom the client believes. */
  readonly believed: KeyPair;
  readonly name: string;
}

/** Lets a client and a server meet over TLS; gives the id that the server read, or throws what either end refused with. */
async function meet({ trusted, server, client, believed, name }: Meeting): Promise<string> {
  const read = Promise.withResolvers<string>();
  const listener = createServer(
    {
      key: server.keyPem,
      cert: server.certificatePem,
      ca: trusted.certificatePem,
      requestCert: true,
      rejectUnauthorized: true,
    },
    (socket: TLSSocket) => {
      try {
        read.resolve(identityOf(socket.getPeerCertificate().raw));
      } catch (error) {
        read.reject(error);
      }
      socket.on("error", read.reject).end();
    },
  );
  listener.on("tlsClientError", read.reject);
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  // A TCP listener's address is an object.
  const { port } = listener.address() as AddressInfo;
  const socket = connect({
    port,
    host: "127.0.0.1",
    ca: believed.certificatePem,
    // A server name is never an address (RFC 6066): then the host itself is what the certificate is checked for.
    ...(isIP(name) === 0 ? { servername: name } : { host: name }),
    ...(client === undefined ? {} : { key: client.keyPem, cert: client.certificatePem }),
  });
  socket.on("error", read.reject);
  try {
    return await read.promise;
  } finally {
    socket.destroy();
    await new Promise((resolve) => listener.close(resolve));
  }
}

const usual = { trusted: authority, server, believed: authority, name: "selvage.test" };

test("both ends prove themselves, and the server reads the host's id from the certificate", async () => {
  const client = await hostOf(authority, "5f0c1f9e-7c11-4a43-9f0f-0d6d8f7d3b1a");
  assert.equal(await meet({ ...usual, client }), "5f0c1f9e-7c11-4a43-9f0f-0d6d8f7d3b1a");
  assert.equal(await meet({ ...usual, client, name: "127.0.0.1" }), "5f0c1f9e-7c11-4a43-9f0f-0d6d8f7d3b1a");
});

test("strangers are refused at either end, and so are those who show nothing", async () => {
  const client = await hostOf(authority, "h1");
  await assert.rejects(meet({ ...usual, client: await hostOf(stranger, "h1") }));
  await assert.rejects(meet(usual));
  await assert.rejects(meet({ ...usual, client, believed: stranger }), /certificate/);
  await assert.rejects(meet({ ...usual, client, name: "other.test" }), /does not match|altnames/);
});

test("a certificate serves only its purpose: a host is no server, a server is no host, a leaf is no authority", async () => {
  const client = await hostOf(authority, "h1");
  await assert.rejects(meet({ ...usual, server: client, client }), /purpose/);
  await assert.rejects(meet({ ...usual, client: server }));
  const forged = await hostOf(client, "h2");
  await assert.rejects(
    meet({ ...usual, client: { ...forged, certificatePem: forged.certificatePem + client.certificatePem } }),
  );
});

test("who the host is, is what the signer says, whatever the request claims", async () => {
  const { csrPem } = await createKeyAndRequest("root, CN=admin");
  const signed = await signHostRequest(authority, csrPem, { hostId: "h7", hostName: "node-7" });
  const certificate = new X509Certificate(signed.certificatePem);
  assert.equal(certificate.subject, "CN=node-7");
  assert.equal(certificate.subjectAltName, "URI:selvage:host:h7");
  assert.equal(identityOf(signed.certificatePem), "h7");
  assert.equal(identityOf(certificate.raw), "h7");
  assert.equal(certificate.ca, false);
  assert.deepEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.2"]);
  assert.ok(certificate.verify(new X509Certificate(authority.certificatePem).publicKey));
});

test("a name that does not fit a common name, or would break one, does no harm", async () => {
  const { csrPem } = await createKeyAndRequest("");
  for (const [hostName, subject] of [
    ["x".repeat(65), "CN=h7"],
    ["", "CN=h7"],
    ["a, O=b+CN=c", "CN=a\\, O=b\\+CN=c"],
  ] as const) {
    const { certificatePem } = await signHostRequest(authority, csrPem, { hostId: "h7", hostName });
    assert.equal(new X509Certificate(certificatePem).subject, subject);
  }
});

test("a request that is tampered with, of another kind of key, too long or no request is refused", async () => {
  const host = { hostId: "h1", hostName: "h1" };
  const refused = (csrPem: string, reason: RegExp) =>
    assert.rejects(
      signHostRequest(authority, csrPem, host),
      (error) => isError(error, "CertificateRequestInvalid") && reason.test(error.message),
    );
  const { csrPem } = await createKeyAndRequest("h1");
  const der = Buffer.from(csrPem.replaceAll(/-----[^-]+-----|\s/g, ""), "base64");
  // The last byte lies in the signature: changing it leaves the structure whole.
  der.writeUInt8(der.readUInt8(der.length - 1) ^ 1, der.length - 1);
  const tampered = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
  await refused(tampered, /not signed by the key/);
  await refused("", /cannot be read/);
  await refused("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", /cannot be read/);
  await refused(authority.certificatePem, /cannot be read/);
  await refused("A".repeat(20_000), /longer/);
  await refused(await rsaRequest(), /EC P-256/);
  for (const hostId of ["", "a b", "a,URI:selvage:host:b", "x".repeat(65), "-a"])
    await assert.rejects(signHostRequest(authority, csrPem, { ...host, hostId }), (error) =>
      isError(error, "FieldInvalid"),
    );
});

test("validity allows for a clock that is behind, and does not outlive the authority", async () => {
  const now = Date.UTC(2026, 10, 21, 3, 0, 0);
  const short = await createAuthority({ now, days: 10 });
  const { csrPem } = await createKeyAndRequest("h1");
  const signed = await signHostRequest(short, csrPem, { hostId: "h1", hostName: "h1", now, days: 5 });
  assert.equal(new X509Certificate(signed.certificatePem).validFromDate.getTime(), now - 3_600_000);
  assert.equal(signed.expiresAt, now + 5 * 86_400_000);
  assert.equal(expiryOf(signed.certificatePem), signed.expiresAt);
  const long = await signHostRequest(short, csrPem, { hostId: "h1", hostName: "h1", now });
  assert.equal(long.expiresAt, now + 10 * 86_400_000);
  assert.equal(long.expiresAt, expiryOf(short.certificatePem));
});

test("serials are positive, of full length and never the same; the fingerprint is of the DER", async () => {
  const { csrPem } = await createKeyAndRequest("h1");
  const sign = () => signHostRequest(authority, csrPem, { hostId: "h1", hostName: "h1" });
  const signed = await Promise.all([sign(), sign(), sign()]);
  const serials = signed.map(({ certificatePem }) => new X509Certificate(certificatePem).serialNumber);
  assert.equal(new Set(serials).size, 3);
  for (const serial of serials) assert.match(serial, /^[4-7][0-9A-F]{31}$/);
  for (const { certificatePem, fingerprint } of signed) {
    const certificate = new X509Certificate(certificatePem);
    assert.equal(fingerprint, certificate.fingerprint256.replaceAll(":", "").toLowerCase());
    assert.equal(fingerprintOf(certificate.raw), fingerprint);
  }
});

test("a certificate without exactly one host is no identity, and a server needs a name", async () => {
  const invalid = (error: unknown) => isError(error, "CertificateInvalid");
  assert.throws(() => identityOf(server.certificatePem), invalid);
  assert.throws(() => identityOf(authority.certificatePem), invalid);
  assert.throws(() => identityOf("nonsense"), invalid);
  assert.throws(() => fingerprintOf(new Uint8Array(3)), invalid);
  // A DNS name that spells a host is still a DNS name.
  const sly = await serverCertificate(authority, { names: ["a", "selvage:host:h1"], ips: [] });
  assert.throws(() => identityOf(sly.certificatePem), invalid);
  const field = (error: unknown) => isError(error, "FieldInvalid");
  await assert.rejects(serverCertificate(authority, { names: [], ips: [] }), field);
  await assert.rejects(serverCertificate(authority, { names: ["a"], ips: ["10.1"] }), field);
});

/** A well-formed request whose key is RSA, made by the same library. */
async function rsaRequest(): Promise<string> {
  const { Pkcs10CertificateRequestGenerator } = await import("@peculiar/x509");
  const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const keys = {
    privateKey: privateKey.toCryptoKey(algorithm, true, ["sign"]),
    publicKey: publicKey.toCryptoKey(algorithm, true, ["verify"]),
  };
  const request = await Pkcs10CertificateRequestGenerator.create({ name: "CN=h1", keys, signingAlgorithm: algorithm });
  return request.toString("pem");
}
