/** The face of `base`: the registries of errors and drop reasons. */
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
  type DropReason,
  dropReasons,
  isReasonCode,
  type ReasonCode,
  type ReasonKind,
  reasonByCode,
  reasonByNumber,
} from "./reasons.ts";
