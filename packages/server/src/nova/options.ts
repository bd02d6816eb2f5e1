/** What an operator may set of the events to Nova: the section `nova` of a server's options. */
import { type Static, Type } from "typebox";

export const novaOptions = Type.Object(
  {
    authUrl: Type.String({
      description:
        "URL of the Identity v3 that Nova trusts, such as http://keystone:5000/v3; empty: Nova is told nothing",
      default: "",
    }),
    endpoint: Type.String({
      description:
        "Base URL of the Compute API, such as http://nova:8774/v2.1; empty: as the catalogue of authUrl has it",
      default: "",
    }),
    username: Type.String({ description: "Who asks; Nova wants the role admin or service", default: "selvage" }),
    passwordFile: Type.String({ description: "A file with the password in its first line", default: "" }),
    project: Type.String({ description: "The project in which that user asks", default: "service" }),
    userDomain: Type.String({ description: "Name of the user's domain", default: "Default" }),
    projectDomain: Type.String({ description: "Name of the project's domain", default: "Default" }),
    region: Type.String({ description: "Region of the Compute API in that catalogue", default: "RegionOne" }),
    gather: Type.Integer({
      description: "How long events gather before one request carries them",
      unit: "ms",
      default: 100,
      minimum: 1,
      maximum: 60_000,
    }),
    batch: Type.Integer({ description: "Events of one request", default: 100, minimum: 1, maximum: 10_000 }),
    timeout: Type.Integer({
      description: "How long one request may take",
      unit: "ms",
      default: 10_000,
      minimum: 100,
      maximum: 600_000,
    }),
  },
  { additionalProperties: false },
);
export type NovaOptions = Static<typeof novaOptions>;

/** What an operator may set of Nova's metadata service: the section `metadata` of a server's options. */
export const metadataOptions = Type.Object(
  {
    novaUrl: Type.String({
      description:
        "Where Nova's metadata service listens, such as http://nova:8775, to ask it for the machines of agents whose setting metadata is nova; empty: it is not asked",
      default: "",
    }),
    secretFile: Type.String({
      description: "A file with Nova's metadata_proxy_shared_secret in its first line; hosts never see it",
      default: "",
    }),
    timeout: Type.Integer({
      description: "How long Nova may take for one question",
      unit: "ms",
      default: 10_000,
      minimum: 100,
      maximum: 600_000,
    }),
  },
  { additionalProperties: false },
);
export type MetadataOptions = Static<typeof metadataOptions>;
