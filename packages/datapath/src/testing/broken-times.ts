/** Datapaths that are each wrong in one way about when a difference is taken, and when it is in force. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { SimulatedDatapath } from "../simulated/datapath.ts";
import { type BrokenDatapath, type Delta, driver } from "./broken-kinds.ts";

const takenInOrder =
  "a difference asked for when the one before is taken is taken behind it, and each is in force when it says so";

export const brokenTimes: readonly BrokenDatapath[] = [
  driver(
    "resolves before the rows are in force",
    "an added row is in force when apply resolves",
    class extends SimulatedDatapath {
      override async apply(delta: Delta): Promise<void> {
        if (delta.added.length !== 1) return super.apply(delta);
        void nextTurn()
          .then(() => super.apply(delta))
          .catch((error: unknown) => error);
      }
    },
  ),
  driver(
    "says that what it has taken is in force",
    takenInOrder,
    class extends SimulatedDatapath {
      override async apply(delta: Delta, taken?: () => void): Promise<void> {
        taken?.();
        void nextTurn()
          .then(() => super.apply(delta))
          .catch((error: unknown) => error);
      }
    },
  ),
  driver(
    "says twice that it has taken a difference",
    takenInOrder,
    class extends SimulatedDatapath {
      override async apply(delta: Delta, taken?: () => void): Promise<void> {
        taken?.();
        await super.apply(delta, taken);
      }
    },
  ),
  driver(
    "says that it has taken a difference when it is in force and told",
    takenInOrder,
    class extends SimulatedDatapath {
      override async apply(delta: Delta, taken?: () => void): Promise<void> {
        await super.apply(delta);
        void nextTurn().then(taken);
      }
    },
  ),
  driver(
    "applies differences in another order than they came in",
    "differences applied without waiting come into force in order",
    class extends SimulatedDatapath {
      override async apply(delta: Delta): Promise<void> {
        if (delta.removed.length > 0) await nextTurn();
        await super.apply(delta);
      }
    },
  ),
];
