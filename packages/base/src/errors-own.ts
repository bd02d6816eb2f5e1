/** Errors of our own `/v1` API, of the join and sync of hosts, of the store, the configuration and the command line. */
import { entriesOf } from "./error-entry.ts";

const own = entriesOf("selvage");

export const ownErrors = {
  // Requests to /v1.
  RouteUnknown: own(404, "request", "There is no %(method)s %(path)s.", "See /v1/openapi.json for what is answered."),
  FieldInvalid: own(400, "request", "%(field)s: %(reason)s.", "Correct the field as the message says."),
  BodyTooLarge: own(413, "request", "The body is larger than %(limit)s bytes.", "Split the request."),
  AdminRequired: own(403, "request", "%(action)s needs the admin role.", "Ask as an administrator."),
  IdempotencyKeyReused: own(
    409,
    "request",
    "The Idempotency-Key '%(key)s' belongs to another request, of %(at)s.",
    "Use a new key for another request; repeat a request as it was, method, path and body.",
  ),
  HostsNotServed: own(
    503,
    "request",
    "This server serves no hosts, and cannot say what a packet meets on them.",
    "Ask a server that hosts connect to.",
  ),
  TracesBusy: own(
    503,
    "request",
    "%(count)s packets of the project are being traced already.",
    "Wait for their answers, or try again after the time in Retry-After.",
  ),
  Internal: own(500, "request", "The request failed inside the server.", "Report it with the request id."),
  Cancelled: own(499, "request", "%(what)s was cancelled.", "Ask again if the answer is still wanted."),
  Timeout: own(504, "request", "%(what)s did not finish within %(ms)s ms.", "Try again, or allow more time."),

  // Hosts: join, identity, sync.
  JoinTokenInvalid: own(403, "host", "The join token is not known.", "Make a new one: selvage host add."),
  JoinTokenUsed: own(
    403,
    "host",
    "The join token has been used already, by host %(host)s.",
    "A token joins one host once: make a new one. If you did not use it, remove that host.",
  ),
  JoinTokenExpired: own(403, "host", "The join token expired at %(at)s.", "Make a new one and use it in time."),
  JoinTokenHostMismatch: own(
    403,
    "host",
    "The join token is for host %(expected)s, not for %(host)s.",
    "Use the token on the host that it names.",
  ),
  HostUnknown: own(403, "host", "No host has joined with the identity %(id)s.", "Join the host: selvage agent join."),
  HostNotFound: own(404, "host", "Host %(id)s could not be found.", "List the hosts: selvage host list."),
  HostExists: own(409, "host", "Host %(host)s has joined already.", "Remove it first, or renew its certificate."),
  HostRevoked: own(403, "host", "The identity of host %(host)s has been revoked.", "Join the host again."),
  HostInUse: own(
    409,
    "host",
    "Host %(host)s still has %(ports)s bound ports.",
    "Move or unbind the ports first; a host that was stolen is removed with its bindings by unbind=true.",
  ),
  CertificateInvalid: own(403, "host", "The certificate is not acceptable: %(reason)s.", "Join the host again."),
  CertificateRequestInvalid: own(
    400,
    "host",
    "The certificate request is not acceptable: %(reason)s.",
    "Send a PKCS#10 request in PEM, signed by its own EC P-256 key.",
  ),
  PortNotOnHost: own(
    403,
    "host",
    "Port %(port)s is not bound on the host that asks.",
    "A host may ask only for its own ports: see binding:host_id of the port.",
  ),
  MetadataUnavailable: own(
    503,
    "service",
    "Nova's metadata service gave no answer: %(reason)s.",
    "Set metadata.novaUrl and metadata.secretFile of the server, and look whether Nova's metadata service listens there.",
  ),
  ProtocolVersionUnsupported: own(
    426,
    "host",
    "Protocol versions %(offered)s are not supported; this end speaks %(supported)s.",
    "Upgrade the older end: servers first, then hosts.",
  ),
  ProtocolViolation: own(400, "host", "The peer broke the protocol: %(reason)s.", "Compare the versions of both ends."),

  // The store.
  StoreUnavailable: own(
    503,
    "store",
    "The store cannot be written now: %(reason)s.",
    "Reads go on; repeat the write after the time in Retry-After. Nothing acknowledged is lost.",
  ),
  StoreBusy: own(
    503,
    "store",
    "The write lost %(attempts)s races against other writers.",
    "Repeat it after the time in Retry-After.",
  ),
  RevisionCompacted: own(
    410,
    "store",
    "Revision %(revision)s is no longer kept; the oldest is %(oldest)s.",
    "Start from a snapshot.",
  ),
  RevisionFuture: own(
    404,
    "store",
    "Revision %(revision)s does not exist yet; the newest is %(newest)s.",
    "Wait for it, or ask for an earlier one.",
  ),
  SchemaVersionUnsupported: own(
    500,
    "store",
    "The store holds schema version %(found)s; this program reads up to %(supported)s.",
    "Run the newer program, or restore an older backup.",
  ),

  // The host's datapath.
  NumbersExhausted: own(
    507,
    "host",
    "No %(what)s is left of %(size)s.",
    "Remove objects that hold one; reuse is automatic.",
  ),
  SwitchUnavailable: own(
    503,
    "host",
    "The switch is not reachable at %(address)s: %(reason)s.",
    "Check that ovsdb-server and ovs-vswitchd run.",
  ),
  SwitchRefused: own(500, "host", "The switch refused %(what)s: %(reason)s.", "Check the version of Open vSwitch."),

  // Configuration and command line.
  ConfigUnreadable: own(500, "config", "%(file)s cannot be read: %(reason)s.", "Check the path and its permissions."),
  ConfigInvalid: own(500, "config", "The configuration is not valid:\n%(issues)s", "Correct the places named."),
  RootRefused: own(
    500,
    "config",
    "The server does not run as root unless it is told to.",
    "Say as whom it shall run (--run-as UID:GID), or --run-as root.",
  ),
  UsageInvalid: own(400, "command", "%(reason)s.", "Run the command with --help."),
  ServerUnreachable: own(
    503,
    "command",
    "No server answers at %(url)s: %(reason)s.",
    "Check the address (OS_AUTH_URL or --server) and that the server runs.",
  ),
  NameAmbiguous: own(409, "command", "More than one %(kind)s is named %(name)s.", "Use the id."),
  NameUnknown: own(404, "command", "No %(kind)s is named %(name)s.", "List them, or use the id."),
} as const;
