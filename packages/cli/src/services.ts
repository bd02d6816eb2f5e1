/** The part of the tree of commands that runs and shows server and agent: their options are drawn from their declarations. */

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Argument, type Command, InvalidArgumentError, Option } from "commander";
import type { Declared, DeclaredOption } from "./config/declared.ts";
import { type Given, USUAL_DIRECTORY } from "./config/places.ts";

/** Reads an option's value as a whole number in a range. */
export function wholeNumber(least: number, most: number) {
  return (text: string): number => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`give a whole number from ${least} to ${most}`);
    return value;
  };
}

/** For whoever starts a server whose standard error is a file. */
export const olderLog = (): Option =>
  new Option(
    "--older-log <n>",
    "standard error is a file, and this descriptor another: what is too much in the first moves there",
  ).argParser(wholeNumber(3, 1023));

/** Whether a command line may need the declarations: they cost what server and agent cost to load. */
export const needsDeclared = ([first]: readonly string[]): boolean =>
  first !== undefined && ["server", "agent", "config", "help"].includes(first);

const placeholder = ({ field, type, unit }: DeclaredOption): string => {
  if (field === "data") return "dir";
  if (field === "socket" || field.endsWith("File")) return "path";
  return type === "whole number" ? unit || "n" : type === "list of texts" ? "list" : "text";
};

const optionOf = (option: DeclaredOption): Option => {
  const words = option.type.includes(",") ? `: ${option.type}` : "";
  const otherwise = option.byDefault === undefined || option.byDefault === '""' ? "" : `default ${option.byDefault}; `;
  return new Option(
    `--${option.flag} <${placeholder(option)}>`,
    `${option.description}${words} (${otherwise}${option.env})`,
  );
};

/** Paths that are typed are relative to where they are typed; a file's are absolute. */
const typedPaths: ReadonlySet<string> = new Set(["data", "socket"]);

/** What a command line says of a configuration: the file and the declared options that were typed. */
function givenOf(command: Command, options: readonly DeclaredOption[]): Given {
  const file: unknown = command.getOptionValue("config");
  const names = new Set(options.map(({ flag }) => flag));
  const typed = command.options
    .filter((option) => names.has(option.name()) && command.getOptionValueSource(option.attributeName()) === "cli")
    .map((option) => {
      const value: unknown = command.getOptionValue(option.attributeName());
      const isPath = typedPaths.has(option.name()) && typeof value === "string" && value !== "";
      return [option.name(), isPath ? resolve(value) : value] as const;
    });
  return {
    flags: Object.fromEntries(typed),
    ...(typeof file === "string" ? { file: resolve(file) } : file === false ? { file } : {}),
  };
}

/** Without a file, what only an operator knows must be typed or stand in the environment. */
function demand(command: Command, part: keyof Declared, needed: readonly DeclaredOption[]): void {
  const named: unknown = command.getOptionValue("config");
  if (typeof named === "string" || (named !== false && existsSync(`${USUAL_DIRECTORY}/${part}.yaml`))) return;
  for (const { flag, env } of needed) {
    const option = command.options.find((each) => each.name() === flag);
    const said = option !== undefined && command.getOptionValue(option.attributeName()) !== undefined;
    const inEnvironment = named !== false && process.env[env] !== undefined;
    if (!said && !inEnvironment) command.error(`error: required option '${option?.flags ?? flag}' not specified`);
  }
}

/** Gives a command the options of a part, `--config` and `--no-config`. */
function configured(
  command: Command,
  part: keyof Declared,
  options: readonly DeclaredOption[],
  needed: readonly string[],
): Command {
  command
    .option(
      "--config <file>",
      `a YAML file with settings; SELVAGE_* variables and flags win over it (default: ${USUAL_DIRECTORY}/${part}.yaml, where it exists)`,
    )
    .option("--no-config", "neither file nor variables: only what is typed counts")
    .hook("preAction", (_, action) =>
      demand(
        action,
        part,
        needed.flatMap((field) => options.filter((option) => option.field === field)),
      ),
    );
  for (const option of options) command.addOption(optionOf(option));
  return command;
}

const example = (...lines: readonly string[]): string =>
  `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}\n`;

/** Adds `server run`, `agent join|run` and `config show`. */
export function addServices(program: Command, finish: (code: number) => void, declared: Declared | undefined): void {
  const ofServer = declared?.server ?? [];
  const ofAgent = declared?.agent ?? [];
  const server = program.command("server").description("the server, as a process of its own");
  configured(
    server.command("run").description("run the server until it is ended; started as root it becomes user 61616"),
    "server",
    ofServer,
    [],
  )
    .option("--ready-file <path>", "write {pid, port, url} there once it listens (default: ready.json in its data)")
    .addOption(olderLog())
    .action(async (options, command: Command) =>
      finish(await (await import("./commands/service.ts")).serverRun(givenOf(command, ofServer), options)),
    );

  server
    .command("rotate-keys")
    .description(
      "sign tokens with a new key: all that are out end at once; with --authority, replace the hosts' authority",
    )
    .option(
      "--authority",
      "a new certificate authority instead: every host has to join anew, and forwards on until it has",
    )
    .option("--data <dir>", "data directory of the server that runs (default: as for selvage status)")
    .option("--json", "print JSON for programs")
    .addHelpText("after", example("selvage server rotate-keys", "selvage server rotate-keys --authority --json"))
    .action(async (options) => finish(await (await import("./commands/keys.ts")).rotateKeys(options)));

  const agent = program.command("agent").description("one host's agent");
  const ofJoin = ofAgent.filter(({ field }) => field === "data" || field === "tunnelIp");
  configured(
    agent
      .command("join <url> <token>")
      .description(
        "make this host's key, have it signed with a token from `selvage host add` (-: read it from standard input)",
      ),
    "agent",
    ofJoin,
    ["tunnelIp"],
  )
    .addHelpText(
      "after",
      example("selvage agent join https://10.0.0.5:9696 TOKEN --data /var/lib/selvage-agent --tunnel-ip 10.0.0.6"),
    )
    .action(async (url, token, _options, command: Command) =>
      finish(await (await import("./commands/service.ts")).agentJoin(url, token, givenOf(command, ofJoin))),
    );
  configured(agent.command("run").description("keep this host's switch as the server intends"), "agent", ofAgent, [
    "tunnelIp",
  ]).action(async (_options, command: Command) =>
    finish(await (await import("./commands/service.ts")).agentRun(givenOf(command, ofAgent))),
  );

  program
    .command("services")
    .description("the host's own services for its machines")
    .command("run")
    .description(
      "have the switch of this host reach the services that its agent gives machines (metadata): as root, in a network namespace of their own",
    )
    .option("--data <dir>", "the agent's data directory", "/var/lib/selvage-agent")
    .option("--switch-namespace <path>", "the network namespace of the switch", "/proc/1/ns/net")
    .addHelpText(
      "after",
      example("ip netns add selvage-svc", "nsenter --net=/run/netns/selvage-svc selvage services run"),
    )
    .action(async (options) => finish(await (await import("./commands/service-network.ts")).servicesRun(options)));

  program
    .command("config")
    .description("the settings of server and agent")
    .command("show")
    .description("print the values in force here and where each came from; with mistakes, where they stand")
    .addArgument(
      new Argument("[part]", "the server's or the agent's; default: whichever has a file").choices(["server", "agent"]),
    )
    .option("--config <file>", `the file (default: ${USUAL_DIRECTORY}/PART.yaml, where it exists)`)
    .option("--json", "print JSON for programs")
    .addHelpText("after", example("selvage config show", "selvage config show server --config ./server.yaml"))
    .action(async (part, options) => finish(await (await import("./commands/config.ts")).configShow(part, options)));
}
