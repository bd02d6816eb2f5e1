/** Renews the host's certificate before it ends: at two thirds of its life, with a new key, over the present identity. */
import { X509Certificate } from "node:crypto";
import { type Clock, createKeyAndRequest, type Log, type Timer } from "@selvage/base";
import { readRenewReply, renewPath } from "@selvage/sync";
import { type Endpoint, post } from "./endpoint.ts";
import type { HostCredentials, IdentityKeeper } from "./identity.ts";

export interface RenewalOptions {
  readonly keeper: IdentityKeeper;
  readonly endpoint: Endpoint;
  readonly clock: Clock;
  readonly log: Log;
  /** A new certificate is there to be used. */
  readonly renewed: () => void;
}

/** How often it is looked at, ms. */
const lookInterval = 3_600_000;

/** Whether a certificate has lived two thirds of its life. `now`: ms since 1970. */
export function isDue({ certificate }: HostCredentials, now: number): boolean {
  const { validFromDate, validToDate } = new X509Certificate(certificate);
  const from = validFromDate.getTime();
  return now >= from + ((validToDate.getTime() - from) * 2) / 3;
}

export class Renewal {
  readonly #options: RenewalOptions;
  readonly #timer: Timer;
  #running: Promise<void> | undefined;

  constructor(options: RenewalOptions) {
    this.#options = options;
    this.#timer = options.clock.every(lookInterval, () => void this.look());
    void this.look();
  }

  /** Renews where it is due. Never throws: a failure is logged, and the next look tries again. */
  look(): Promise<void> {
    this.#running ??= this.#look().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async close(): Promise<void> {
    this.#timer.cancel();
    await this.#running;
  }

  async #look(): Promise<void> {
    const { keeper, endpoint, clock, log, renewed } = this.#options;
    const { present, next, ca, host } = keeper.identity;
    if (next !== undefined || !isDue(present, clock.now())) return;
    try {
      const { keyPem, csrPem } = await createKeyAndRequest(host.name);
      const reply = readRenewReply(await post(endpoint, { ca, ...present }, renewPath, { csr: csrPem }));
      await keeper.renewed({ certificate: reply.certificate, key: keyPem });
      log.info("the certificate was renewed");
      renewed();
    } catch (error) {
      log.warn("the certificate could not be renewed; this is tried again", { error });
    }
  }
}
