/** How a host has Nova's metadata service asked for a machine of its own: POST to `metadataPath` with the host's certificate, and its reply. */
import { type Static, Type } from "typebox";
import { Compile } from "typebox/compile";
import { BadMessage } from "./messages.ts";

/** Bytes of a request's body that are passed on. */
export const longestMetadataBody = 16_384;

const base64 = (bytes: number) => Type.String({ maxLength: 4 * Math.ceil(bytes / 3), pattern: "^[A-Za-z0-9+/]*=*$" });

export const MetadataRequest = Type.Object(
  {
    /** Id of the port that asks, which must be bound on the host. */
    port: Type.String({ minLength: 1, maxLength: 255 }),
    method: Type.Union([Type.Literal("GET"), Type.Literal("HEAD"), Type.Literal("POST")]),
    /** Path and query, as the machine asked. */
    path: Type.String({ maxLength: 2_048, pattern: "^/[!-~]*$" }),
    body: base64(longestMetadataBody),
  },
  { additionalProperties: false },
);
export type MetadataRequest = Static<typeof MetadataRequest>;

export const MetadataReply = Type.Object(
  {
    status: Type.Integer({ minimum: 100, maximum: 599 }),
    type: Type.String({ maxLength: 256 }),
    body: Type.String(),
  },
  { additionalProperties: true },
);
export type MetadataReply = Static<typeof MetadataReply>;

const metadataReply = Compile(MetadataReply);

/** Reads the parsed reply. Throws BadMessage. */
export function readMetadataReply(value: unknown): MetadataReply {
  if (metadataReply.Check(value)) return value;
  throw new BadMessage("the reply to a question for metadata does not fit");
}
