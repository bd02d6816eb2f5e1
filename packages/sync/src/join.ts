/** What joining and renewing say, in JSON over TLS: POST to `joinPath` with a token, to `renewPath` with the host's certificate. */
import { type Static, Type } from "typebox";
import { Compile } from "typebox/compile";
import { BadMessage } from "./messages.ts";

const pem = Type.String({ minLength: 1, maxLength: 16_384 });

export const JoinRequest = Type.Object(
  {
    token: Type.String({ minLength: 1, maxLength: 256 }),
    /** PKCS#10, PEM. */
    csr: pem,
    /** Where the host's tunnels end; it says so again with each `hello`. */
    tunnel_ip: Type.Optional(Type.String({ maxLength: 45 })),
  },
  { additionalProperties: false },
);
export type JoinRequest = Static<typeof JoinRequest>;

const HostName = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 255 }),
  name: Type.String({ minLength: 1, maxLength: 255 }),
  key: Type.Integer({ minimum: 1 }),
});
/** What a host is to itself. */
export type HostName = Static<typeof HostName>;

/** Certificates in PEM. */
export const JoinReply = Type.Object({ certificate: pem, ca: pem, host: HostName }, { additionalProperties: true });
export type JoinReply = Static<typeof JoinReply>;

export const RenewRequest = Type.Object({ csr: pem }, { additionalProperties: false });
export type RenewRequest = Static<typeof RenewRequest>;

export const RenewReply = Type.Object({ certificate: pem, ca: pem }, { additionalProperties: true });
export type RenewReply = Static<typeof RenewReply>;

const joinReply = Compile(JoinReply);
const renewReply = Compile(RenewReply);

/** Reads the parsed reply to a join. Throws BadMessage. */
export function readJoinReply(value: unknown): JoinReply {
  if (joinReply.Check(value)) return value;
  throw new BadMessage("the reply to a join does not fit");
}

/** Reads the parsed reply to a renewal. Throws BadMessage. */
export function readRenewReply(value: unknown): RenewReply {
  if (renewReply.Check(value)) return value;
  throw new BadMessage("the reply to a renewal does not fit");
}

/** The name in every server's certificate, whatever address it is reached at. */
export const serverName = "selvage-server";
