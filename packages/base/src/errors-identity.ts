/** Errors of the Identity API v3: the `{"error": {code, title, message}}` family as Keystone (Zed) answers it. */
import { entriesOf } from "./error-entry.ts";

const keystone = entriesOf("keystone");

export const identityErrors = {
  Unauthorized: keystone(
    401,
    "token",
    "The request you have made requires authentication.",
    "Get a token with POST /identity/v3/auth/tokens and send it as X-Auth-Token.",
  ),
  Forbidden: keystone(
    403,
    "token",
    "You are not authorized to perform the requested action: %(action)s.",
    "Ask as an administrator.",
  ),
  IdentityBadRequest: keystone(
    400,
    "request",
    "%(message)s",
    "Correct the request as the message says.",
    "Bad Request",
  ),
  IdentityRouteNotFound: keystone(
    404,
    "request",
    "The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again.",
    "Check the path of the request.",
    "Not Found",
  ),
  IdentityNotFound: keystone(
    404,
    "identity",
    "Could not find %(kind)s: %(id)s.",
    "Check the id or the name.",
    "Not Found",
  ),
  TokenNotFound: keystone(
    404,
    "token",
    "Could not find token: %(id)s.",
    "The token is unknown, revoked or expired.",
    "Not Found",
  ),
  IdentityConflict: keystone(
    409,
    "identity",
    "Conflict occurred attempting to store %(kind)s - %(details)s.",
    "Choose another name, or use the object that exists.",
    "Conflict",
  ),
  TooManyAttempts: keystone(
    429,
    "token",
    "Too many failed attempts for this user.",
    "Wait for the time in Retry-After, then try again.",
    "Too Many Requests",
  ),
  IdentityBusy: keystone(
    503,
    "token",
    "Too many passwords are being checked.",
    "Try again after the time in Retry-After.",
    "Service Unavailable",
  ),
} as const;
