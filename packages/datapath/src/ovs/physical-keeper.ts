/** Keeps the ways to physical networks as they are mapped: bridges that come and go are followed, and what is lacking is told. */
import type { Log } from "@selvage/base";
import type { AttachedInterface } from "../datapath.ts";
import type { Plugged } from "./bridge.ts";
import type { Session } from "./session.ts";

export class PhysicalKeeper {
  readonly #log: Log;
  #attached: readonly AttachedInterface[] = [];
  #unreachable: readonly string[] = [];
  #connecting = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Interfaces to physical networks, by the name that rows have for them. */
  get attached(): readonly AttachedInterface[] {
    return this.#attached;
  }

  /** Networks that are mapped and not there, with a code of why. */
  get faults(): readonly (readonly [string, "physical-missing"])[] {
    return this.#unreachable.map((name) => [name, "physical-missing"]);
  }

  /** Takes the switch's configuration as it is. */
  note({ physical, unreachable }: Pick<Plugged, "physical" | "unreachable">): void {
    this.#attached = physical;
    this.#unreachable = unreachable;
  }

  /** Has made what is lacking. What is written is heard of as any other change of the switch's configuration. */
  connect(session: Session): void {
    if (this.#connecting) return;
    this.#connecting = true;
    session
      .connectPhysical()
      .catch((error: Error) => this.#log.error("the ways to physical networks cannot be made", { error }))
      .finally(() => {
        this.#connecting = false;
      });
  }
}
