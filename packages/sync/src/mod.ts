/** The face of `sync`: messages between server and agent, their versions, and what a host gets to see. */
export * from "./join.ts";
export * from "./messages.ts";
export * from "./metadata.ts";
export * from "./projection.ts";
export * from "./protocol.ts";
