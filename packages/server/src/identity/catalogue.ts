/** The service catalogue: identity and network, in one region, under the URL by which the caller came (Identity v3, `/v3/auth/catalog`). */
import { createHash } from "node:crypto";

export interface Endpoint {
  readonly id: string;
  readonly interface: "public" | "internal" | "admin";
  readonly region: string;
  readonly region_id: string;
  readonly url: string;
}

export interface Service {
  readonly id: string;
  readonly type: "identity" | "network";
  readonly name: string;
  readonly endpoints: readonly Endpoint[];
}

const idOf = (...parts: readonly string[]): string =>
  createHash("sha256").update(parts.join(":")).digest("hex").slice(0, 32);

/** The catalogue for callers who came by `baseUrl` (no final slash). */
export function catalogue(baseUrl: string, region: string): readonly Service[] {
  const service = (type: Service["type"], name: string, url: string): Service => ({
    id: idOf("service", type),
    type,
    name,
    endpoints: (["public", "internal", "admin"] as const).map((each) => ({
      id: idOf("endpoint", type, each),
      interface: each,
      region,
      region_id: region,
      url,
    })),
  });
  return [service("identity", "keystone", `${baseUrl}/identity/v3`), service("network", "neutron", baseUrl)];
}
