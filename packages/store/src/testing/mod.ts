/** The store's testing face: the conformance suite for drivers, and what its checks are made of. */
export { storeChecks, storeConformance } from "./conformance.ts";
export { appendAt, entry, logFrom, put, remove, take } from "./entries.ts";
export { type Check, type CheckContext, type Opened, type OpenForTest, runCheck, TestClock } from "./harness.ts";
