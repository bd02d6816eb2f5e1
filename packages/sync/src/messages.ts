/** What server and agent say to each other, as schemas; a message that does not fit is refused by name, never guessed at. */
import { type Static, Type } from "typebox";
import { Compile, type Validator } from "typebox/compile";
import { heldChunk } from "./protocol.ts";

const id = Type.String({ minLength: 1, maxLength: 255 });
const revision = Type.Integer({ minimum: 0 });

/** Kind, id and the revision that wrote it last: what an agent already holds. */
const Held = Type.Tuple([id, id, revision]);

export const Hello = Type.Object(
  {
    type: Type.Literal("hello"),
    protocols: Type.Array(Type.Integer({ minimum: 1 }), { minItems: 1, maxItems: 16 }),
    agent: Type.String({ maxLength: 64 }),
    /** Where this host's tunnels end. */
    tunnel_ip: Type.String({ maxLength: 45 }),
    /** Names of the physical networks that it has (version 3); left out, what it said before stays. */
    physical_networks: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { maxItems: 64 })),
    /** Fingerprint of the projection that the held objects were cut by; another one means that nothing held counts. */
    projection: Type.String({ maxLength: 64 }),
    /** The log whose revisions `held` names (version 2); without it, or of another log, nothing held counts. */
    log: Type.Optional(Type.String({ maxLength: 64 })),
    /** Empty: send everything. */
    held: Type.Array(Held, { maxItems: heldChunk }),
    /** `held` messages follow; the server answers after the last. */
    more: Type.Boolean(),
  },
  // What a newer agent says besides is passed over: the version is not agreed on yet.
  { additionalProperties: true },
);

/** More of what an agent holds, right behind its `hello`. */
export const MoreHeld = Type.Object(
  { type: Type.Literal("held"), held: Type.Array(Held, { maxItems: heldChunk }), more: Type.Boolean() },
  { additionalProperties: false },
);

/** The revision is in force on this host's switch, behind a barrier. */
export const Ack = Type.Object({ type: Type.Literal("ack"), revision }, { additionalProperties: false });

/** Differences that facts tell of, at most; what is cut off is the oldest. */
export const mostDrift = 100;
const switchWords = Type.Union([Type.String({ maxLength: 512 }), Type.Null()]);

/** One thing on a switch that was otherwise than it had been left. */
export const Drift = Type.Object(
  {
    /** When it was found, RFC 3339. */
    at: Type.String({ maxLength: 32 }),
    what: Type.Union([Type.Literal("missing"), Type.Literal("changed"), Type.Literal("foreign")]),
    /** The row's id; null: no row's, but the program's own or a stranger's. */
    row: switchWords,
    /** As it should be and as it was found, in the switch's words. */
    wanted: switchWords,
    found: switchWords,
  },
  { additionalProperties: false },
);
export type Drift = Static<typeof Drift>;

/** Reasons that facts tell of, at most. */
export const mostDrops = 64;

/** Packets that a switch dropped for one reason since it started. */
export const DropCount = Type.Object(
  { reason: Type.String({ minLength: 1, maxLength: 64 }), packets: Type.Integer({ minimum: 0 }) },
  { additionalProperties: false },
);
export type DropCount = Static<typeof DropCount>;

/** Leased blocks that facts tell of, at most. */
export const mostLeases = 1_000;

/** What is so on the host; always the whole of it. */
export const Facts = Type.Object(
  {
    type: Type.Literal("facts"),
    datapath: Type.Union([Type.Literal("ovs"), Type.Literal("simulated"), Type.Literal("none")]),
    /** Ports in force: bound here, plugged, their rows on the switch. */
    ports_up: Type.Array(id, { maxItems: 65_536 }),
    /** Interfaces that name a port which intent does not bind to this host. */
    unbound: Type.Array(id, { maxItems: 65_536 }),
    /** Objects whose rows could not be derived or installed, and why. */
    quarantined: Type.Array(
      Type.Object(
        { unit: Type.String({ maxLength: 512 }), reason: Type.String({ maxLength: 1024 }) },
        { additionalProperties: false },
      ),
      { maxItems: 1_000 },
    ),
    /** What audits found on the switch that nobody asked for, and mended; the newest, in order (version 2). */
    drift: Type.Optional(Type.Array(Drift, { maxItems: mostDrift })),
    /** Packets dropped, by reason, most first; none is absent (version 2). */
    drops: Type.Optional(Type.Array(DropCount, { maxItems: mostDrops })),
    /** How many ports of each leased block are in use, the fullest first (version 3). */
    nat: Type.Optional(
      Type.Array(
        Type.Object(
          { lease: id, used: Type.Integer({ minimum: 0, maximum: 65_536 }) },
          { additionalProperties: false },
        ),
        { maxItems: mostLeases },
      ),
    ),
    /** The type of the bridge's datapath, where the agent is told it (version 2). */
    datapath_type: Type.Optional(Type.Union([Type.Literal("system"), Type.Literal("netdev")])),
  },
  { additionalProperties: false },
);

export const FromAgent = Type.Union([Hello, MoreHeld, Ack, Facts]);
export type FromAgent = Static<typeof FromAgent>;
export type Hello = Static<typeof Hello>;
export type MoreHeld = Static<typeof MoreHeld>;
export type Ack = Static<typeof Ack>;
export type Facts = Static<typeof Facts>;

export const Welcome = Type.Object(
  {
    type: Type.Literal("welcome"),
    protocol: Type.Integer({ minimum: 1 }),
    host: Type.Object({ id, name: id, key: Type.Integer({ minimum: 1 }) }),
    /** The log whose revisions follow (version 2). */
    log: Type.Optional(Type.String({ maxLength: 64 })),
  },
  { additionalProperties: true },
);

const Projected = Type.Object({ id }, { additionalProperties: true });

/**
 * The difference that brings the host's view to `revision`. It may come in parts: all but the last have `more: true`, the whole is applied
 * after the last, and it is the last one's revision that counts. `reset`, on the first part alone: forget everything held before.
 */
export const Changes = Type.Object(
  {
    type: Type.Literal("changes"),
    revision,
    reset: Type.Boolean(),
    more: Type.Boolean(),
    puts: Type.Array(Type.Object({ kind: id, revision, object: Projected })),
    removes: Type.Array(Type.Object({ kind: id, id })),
  },
  { additionalProperties: true },
);

/** The stream ends here, and why; `retry` says whether coming again can help. */
export const Refused = Type.Object(
  { type: Type.Literal("refused"), code: Type.String(), message: Type.String(), retry: Type.Boolean() },
  { additionalProperties: true },
);

export const FromServer = Type.Union([Welcome, Changes, Refused]);
export type FromServer = Static<typeof FromServer>;
export type Welcome = Static<typeof Welcome>;
export type Changes = Static<typeof Changes>;
export type Refused = Static<typeof Refused>;

/** Characters of a refusal: it may quote what came, which is as long as its sender likes, and goes to logs. */
const longestReason = 200;

/** A message that is not JSON, not of a known type, or does not fit its type. */
export class BadMessage extends Error {
  constructor(reason: string) {
    super(`bad message: ${reason.length > longestReason ? `${reason.slice(0, longestReason)}…` : reason}`);
    this.name = "BadMessage";
  }
}

const agentMessages = { hello: Compile(Hello), held: Compile(MoreHeld), ack: Compile(Ack), facts: Compile(Facts) };
const serverMessages = { welcome: Compile(Welcome), changes: Compile(Changes), refused: Compile(Refused) };

function read<M>(text: string, validators: Readonly<Record<string, Pick<Validator, "Check" | "Errors">>>): M {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BadMessage(`not JSON (${cause instanceof Error ? cause.message : String(cause)})`);
  }
  const type = typeof value === "object" && value !== null ? (value as { readonly type?: unknown }).type : undefined;
  const validator = typeof type === "string" && Object.hasOwn(validators, type) ? validators[type] : undefined;
  if (validator === undefined) throw new BadMessage(`unknown type ${JSON.stringify(type) ?? "none"}`);
  if (!validator.Check(value)) {
    const [first] = validator.Errors(value);
    throw new BadMessage(`${String(type)}${first?.instancePath ?? ""}: ${first?.message ?? "does not fit"}`);
  }
  // Checked against the schema that `M` is the static type of.
  return value as M;
}

/** Reads a message that an agent sent. Throws BadMessage. */
export const readFromAgent = (text: string): FromAgent => read<FromAgent>(text, agentMessages);

/** Reads a message that a server sent. Throws BadMessage. */
export const readFromServer = (text: string): FromServer => read<FromServer>(text, serverMessages);
