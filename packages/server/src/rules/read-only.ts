/** Rules of what is only read: made of other objects as it is asked for, written by nobody. */
import type { Caller } from "../api/policy.ts";

/** The writes of what is only read: no route leads to them. */
export function unwritten(what: string) {
  const refuse = (): never => {
    throw new Error(`${what} are only read`);
  };
  return { create: refuse, update: refuse, remove: refuse } as const;
}

/** What whoever reads anything may list, whosever it is, and nobody writes. */
export const listed = (what: string) =>
  ({
    ...unwritten(what),
    verbs: ["list"],
    policy: {
      get: (caller: Caller) => caller.roles.has("reader"),
      create: () => false,
      update: () => false,
      delete: () => false,
      attributes: {},
    },
    target: () => ({ projectId: "" }),
    computed: {},
  }) as const;
