/** The line by which a conversation from the services' network is handed to the agent: who asked whom, in the manner of the PROXY protocol's version 1 (HAProxy, proxy-protocol.txt, 2.1). */

/** A conversation with a machine: the addresses are those of the services' network, so that the far one says which port asks. */
export interface Introduction {
  readonly transport: "tcp" | "udp";
  /** The number under which the machine asks. */
  readonly from: string;
  readonly fromPort: number;
  /** The service that it asks. */
  readonly to: string;
  readonly toPort: number;
}

/** Longer than the longest line. */
export const longestIntroduction = 160;

/** The line with its end. */
export const introductionText = ({ transport, from, fromPort, to, toPort }: Introduction): string =>
  `PROXY ${transport.toUpperCase()}${from.includes(":") ? 6 : 4} ${from} ${to} ${fromPort} ${toPort}\r\n`;

const line = /^PROXY (TCP|UDP)([46]) ([0-9a-f.:]+) ([0-9a-f.:]+) (\d{1,5}) (\d{1,5})$/;

/** Reads a line without its end; undefined where it is none. */
export function readIntroduction(text: string): Introduction | undefined {
  const [, transport, family, from = "", to = "", fromPort, toPort] = line.exec(text) ?? [];
  if (transport === undefined || from.includes(":") !== (family === "6")) return undefined;
  return {
    transport: transport === "TCP" ? "tcp" : "udp",
    from,
    fromPort: Number(fromPort),
    to,
    toPort: Number(toPort),
  };
}
