/** The face of `base`: errors and drop reasons, log, metrics, clock, ids, retry, configuration, certificates. */
export {
  type Authority,
  createAuthority,
  createKeyAndRequest,
  expiryOf,
  fingerprintOf,
  type HostCertificate,
  identityOf,
  type KeyPair,
  serverCertificate,
  signHostRequest,
  type Validity,
} from "./certificates.ts";
export { type Clock, ManualClock, realClock, type Timer } from "./clock.ts";
export { type Config, type ConfigIssue, type ConfigSources, loadConfig, type Origin, placeText } from "./config.ts";
export { type Leaf, leavesOf, nearest, nodeOf } from "./config-leaves.ts";
export {
  type Envelope,
  type ErrorEntry,
  type ErrorParam,
  fillTemplate,
  pythonList,
  pythonString,
} from "./error-entry.ts";
export {
  type ErrorCode,
  type ErrorOptions,
  type ErrorParams,
  entryOf,
  errorBody,
  errorTypes,
  fail,
  isError,
  SelvageError,
} from "./errors.ts";
export {
  hashOfSecret,
  isUuid,
  randomBelow,
  randomBigintBelow,
  requestId,
  sameSecret,
  secretToken,
  uuid,
} from "./ids.ts";
export {
  createLog,
  type Log,
  type LogFields,
  type LogLevel,
  type LogOptions,
  type LogThreshold,
  logLevels,
  silentLog,
} from "./log.ts";
export {
  type Counter,
  createMetrics,
  type Gauge,
  type Histogram,
  type MetricSpec,
  type Metrics,
  type MetricsOptions,
  secondsBuckets,
} from "./metrics.ts";
export { Places } from "./places.ts";
export {
  type DropReason,
  dropReasons,
  isReasonCode,
  type ReasonCode,
  type ReasonKind,
  reasonByCode,
  reasonByNumber,
} from "./reasons.ts";
export { redact, redacted } from "./redact.ts";
export { type Backoff, backoffDelay, type RetryOptions, retry } from "./retry.ts";
