/**
 * Nova's metadata service, asked for the machines of hosts (Nova, nova/api/metadata/handler.py): which machine asks is signed with the secret that Nova shares, which
 * stays here, and only for a port that intent binds to the host that asks. Of what the machine sent, its path and its body go on, no header of it.
 */
import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { fail } from "@selvage/base";
import { Host, Port, type View } from "@selvage/model";
import { type MetadataReply, MetadataRequest } from "@selvage/sync";
import { Compile } from "typebox/compile";
import type { MetadataOptions } from "./options.ts";

/** Bytes of an answer that are passed on. */
const longestAnswer = 1024 * 1024;

const request = Compile(MetadataRequest);

export interface NovaMetadataPlan {
  readonly view: View;
  readonly url: string;
  readonly secret: string;
  /** How long Nova may take, ms. */
  readonly timeout: number;
}

export class NovaMetadata {
  readonly #plan: NovaMetadataPlan;

  constructor(plan: NovaMetadataPlan) {
    this.#plan = plan;
  }

  /** Reads the secret. Rejects with the system's error when its file cannot be read. */
  static async open(view: View, { novaUrl: url, secretFile, timeout }: MetadataOptions): Promise<NovaMetadata> {
    const [secret = ""] = (await readFile(secretFile, "utf8")).split(/\r?\n/);
    return new NovaMetadata({ view, url, secret, timeout });
  }

  /**
   * Asks Nova for a machine of the host. Takes the parsed body of the host's request. Throws FieldInvalid, PortNotOnHost, MetadataUnavailable; what Nova refuses is
   * its answer, and no error.
   */
  async ask(hostId: string, asked: unknown): Promise<MetadataReply> {
    if (!request.Check(asked)) throw fail("FieldInvalid", { field: "body", reason: "it is no question for metadata" });
    const { view, secret, timeout } = this.#plan;
    const port = view.get(Port, asked.port);
    const host = view.get(Host, hostId)?.name;
    if (port === undefined || host === undefined || port["binding:host_id"] !== host)
      throw fail("PortNotOnHost", { port: asked.port });
    if (port.device_id === "") return { status: 404, type: "text/plain", body: "" };
    const signature = createHmac("sha256", secret).update(port.device_id).digest("hex");
    const body = Buffer.from(asked.body, "base64");
    const headers = {
      accept: "*/*",
      "x-instance-id": port.device_id,
      "x-tenant-id": port.project_id,
      "x-forwarded-for": port.fixed_ips[0]?.ip_address ?? "",
      "x-instance-id-signature": signature,
    };
    try {
      const response = await fetch(this.#urlOf(asked.path), {
        method: asked.method,
        headers,
        redirect: "manual",
        signal: AbortSignal.timeout(timeout),
        ...(asked.method === "POST" ? { body } : {}),
      });
      return {
        status: response.status,
        type: response.headers.get("content-type") ?? "text/plain",
        body: (await bytesOf(response)).toString("base64"),
      };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw fail("MetadataUnavailable", { reason }, { cause: error });
    }
  }

  /** The path below Nova's own and nowhere else, whatever it begins with and however it climbs. */
  #urlOf(path: string): URL {
    const base = new URL(this.#plan.url);
    const root = base.pathname.replace(/\/+$/, "");
    const url = new URL(`${base.origin}${root}${path}`);
    if (url.origin !== base.origin || !url.pathname.startsWith(`${root}/`)) throw new Error("the path leads elsewhere");
    return url;
  }
}

async function bytesOf(response: Response): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > longestAnswer) throw new Error("its answer is too long");
    parts.push(part);
  }
  return Buffer.concat(parts);
}
