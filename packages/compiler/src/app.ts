/** What an app is: a name and derivations from the view to rows of its tables. It never sees an event and never removes a row. */
import type { Derivation } from "@selvage/model";
import type { AnyTable, Row } from "@selvage/pipeline";

/** What a host is to the compiler: its name as ports' `binding:host_id` has it. */
export interface Here {
  readonly name: string;
}

export interface App {
  readonly name: string;
  /** The only tables it may write. */
  readonly tables: readonly AnyTable[];
  readonly derivations: (here: Here) => readonly Derivation<Row>[];
}

export const app = (name: string, tables: readonly AnyTable[], derivations: App["derivations"]): App =>
  Object.freeze({ name, tables: Object.freeze([...tables]), derivations });
