/** The `selvage` command: its tree of commands; each one's code is loaded only when it is called. */

import { Command, CommanderError, Option } from "commander";
import about from "../package.json" with { type: "json" };
import type { Declared } from "./config/declared.ts";
import { printError, standardOutput } from "./format.ts";
import { addServices, needsDeclared, olderLog, wholeNumber } from "./services.ts";

const EXIT_USAGE = 64;

const data = () =>
  new Option(
    "--data <dir>",
    "data directory (default: /var/lib/selvage for root, else ~/.local/share/selvage; SELVAGE_DATA)",
  );
const agentData = () =>
  new Option(
    "--agent <dir>",
    "ask the agent with this data directory on this machine (default: the lab's, or the usual one)",
  );
const json = () => new Option("--json", "print JSON for programs");
const examples = (...lines: readonly string[]): string =>
  `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}\n`;

/**
 * Builds the tree of commands.
 * @param finish gets the exit code of the command that ran
 * @param declared the options of server and agent; without them their commands are named only
 */
export function buildProgram(finish: (code: number) => void, declared?: Declared): Command {
  const program = new Command("selvage")
    .description("Network virtualization for people who run their own machines.")
    .version(`selvage ${about.version}`, "--version", "print the version")
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .addHelpText(
      "after",
      `${examples(
        "selvage up                          start a fabric on this machine and prove it with pings",
        'eval "$(selvage env)"               then: openstack network list',
        "selvage lab exec red-1 -- ping -c 3 10.0.0.12",
        "selvage status                      hosts, revision in force on each, ports",
        "selvage trace red-1 red-2 --tcp 80  why a packet arrives, or does not",
        "selvage down                        stop it; the data stay",
      )}
Exit codes: 0 done, 1 tried and failed, 64 written wrongly, 69 something needed is not there
            (nothing runs, a port is taken, a tool is missing), 125 lab exec itself failed.
`,
    );

  program
    .command("up")
    .description("start the server and a lab of hosts, prove the network with pings, say what to try next")
    .option("--hosts <n>", "lab hosts (default: as before, or 3)", wholeNumber(1, 200))
    .option(
      "--port <n>",
      "the server's port on 127.0.0.1; 0: any free one (default: as before, or 9696)",
      wholeNumber(0, 65535),
    )
    .option("--underlay <cidr>", "addresses of the hosts' tunnels, IPv4 or IPv6 (default: as before, or 198.18.0.0/15)")
    .option("--wires <list>", "physical networks of new hosts besides `public`, such as left=h1+h2,right=h3")
    .option("--foreground", "stay; Ctrl-C stops the fabric")
    .addOption(data())
    .addOption(json())
    .addHelpText(
      "after",
      examples(
        "selvage up",
        "selvage up --hosts 5 --port 0 --json",
        "selvage up --underlay fd00:5e1::/64 --data /srv/selvage",
      ),
    )
    .action(async (options) => finish(await (await import("./commands/up.ts")).up(options)));

  program
    .command("down")
    .description("stop the fabric; its data stay, and the next up brings it back")
    .option("--purge", "remove the data as well")
    .addOption(data())
    .addOption(json())
    .action(async (options) => finish(await (await import("./commands/down.ts")).down(options)));

  program
    .command("status")
    .description("hosts alive or not, the revision in force on each, ports up and down")
    .addOption(data())
    .addOption(json())
    .action(async (options) => finish(await (await import("./commands/status.ts")).status(options)));

  program
    .command("drift [host]")
    .description("what was changed on hosts' switches by another hand, and mended: as it was found and as it should be")
    .addOption(data())
    .addOption(json())
    .addHelpText("after", examples("selvage drift", "selvage drift h1 --json"))
    .action(async (host, options) => finish(await (await import("./commands/drift.ts")).drift(host, options)));

  program
    .command("trace <from> <to>")
    .description(
      "run a packet from a port, or from an address outside, to a port or an address through what is intended, and say how it ends",
    )
    .option("--tcp <port>", "TCP to this port", wholeNumber(0, 65535))
    .option("--udp <port>", "UDP to this port", wholeNumber(0, 65535))
    .option("--sctp <port>", "SCTP to this port", wholeNumber(0, 65535))
    .option("--icmp [type]", "ICMP of this type and code, such as 8 or 3/1 (default: a ping)")
    .option("--proto <number>", "any other IP protocol", wholeNumber(0, 255))
    .option("--source-port <port>", "of TCP, UDP, SCTP (default 49152)", wholeNumber(0, 65535))
    .option("-4", "over IPv4")
    .option("-6", "over IPv6")
    .option("--size <bytes>", "of the whole IP packet", wholeNumber(20, 65535))
    .option("--ttl <n>", "TTL or hop limit (default 64)", wholeNumber(0, 255))
    .addOption(data())
    .addOption(json())
    .addHelpText(
      "after",
      `${examples(
        "selvage trace red-1 red-2",
        "selvage trace web-1 10.0.1.12 --tcp 443",
        "selvage trace red-1 2001:db8::12 --icmp 128 --size 1400 --json",
        "selvage trace 198.51.100.7 203.0.113.20 --tcp 443  why a floating IP is not reached",
      )}
Nothing is sent: the packet goes through a simulated switch with the rows that each host on its way is told to have.
Exit codes: 0 delivered, and its answer as well; 1 not delivered.
`,
    )
    .action(async (from, to, options) => finish(await (await import("./commands/trace.ts")).trace(from, to, options)));

  program
    .command("flows <host>")
    .description("the rows on a host's switch, with packets and the objects that each is of")
    .option("--port <port>", "only those of this port (id or name)")
    .addOption(agentData())
    .addOption(data())
    .addOption(json())
    .addHelpText("after", examples("selvage flows h1", "selvage flows h1 --port red-1 --json"))
    .action(async (host, options) => finish(await (await import("./commands/flows.ts")).flows(host, options)));

  program
    .command("drops <host>")
    .description("what a host's switch dropped since it started: reason, packets, what to do")
    .addOption(agentData())
    .addOption(data())
    .addOption(json())
    .addHelpText("after", examples("selvage drops h1", "selvage drops h1 --json"))
    .action(async (host, options) => finish(await (await import("./commands/drops.ts")).drops(host, options)));

  program
    .command("nat")
    .description("what is translated on the way out")
    .command("leases")
    .description("which host translates with which ports of which router's address, and which blocks rest")
    .addOption(data())
    .addOption(json())
    .addHelpText("after", examples("selvage nat leases", "selvage nat leases --json"))
    .action(async (options) => finish(await (await import("./commands/nat.ts")).natLeases(options)));

  program
    .command("history")
    .description("who changed what, when, by which request; newest first")
    .option("--since <time>", "from this time on, such as 2026-01-31T14:00:00Z or 2026-01-31")
    .option("--until <time>", "before this time")
    .option("--project <id>", "asked in this project, or of an object of it")
    .option("--kind <kind>", "of objects of this kind, such as port")
    .option("--id <id>", "of this object")
    .option("--author <name>", "by this user or host, by name or id")
    .option("--request <id>", "of this request: the server's id of it, or the client's")
    .option("--before <revision>", "older than this revision", wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option("--limit <n>", "at most so many (default 100)", wholeNumber(1, 1000))
    .addOption(data())
    .addOption(json())
    .addHelpText(
      "after",
      examples("selvage history --kind port --since 2026-01-31", "selvage history --id PORT --json"),
    )
    .action(async (options) => finish(await (await import("./commands/history.ts")).history(options)));

  program
    .command("env")
    .description("print OS_* variables for the openstack client and other tools")
    .option("--project <name>", "as the user of a demo project (red, blue) instead of the administrator")
    .addOption(data())
    .addHelpText(
      "after",
      examples('eval "$(selvage env)" && openstack network list', 'eval "$(selvage env --project red)"'),
    )
    .action(async (options) => finish(await (await import("./commands/env.ts")).env(options)));

  program
    .command("backup <file>")
    .description("copy all intent into one file while the server runs")
    .addOption(data())
    .addOption(json())
    .addHelpText("after", examples("selvage backup /srv/backup/selvage-$(date +%F).db"))
    .action(async (file, options) => finish(await (await import("./commands/backup.ts")).backup(file, options)));
  program
    .command("restore <file>")
    .description("put a backup in place while no server runs")
    .option("--replace", "in the place of a store that is there; that one is kept beside it")
    .addOption(data())
    .addOption(json())
    .addHelpText(
      "after",
      examples("systemctl stop selvage-server && selvage restore --replace FILE && systemctl start selvage-server"),
    )
    .action(async (file, options) => finish(await (await import("./commands/backup.ts")).restore(file, options)));

  program
    .command("setup")
    .description("install the Debian packages that are missing, without starting or enabling services")
    .option("--tests", "also those that only the tests need")
    .addOption(json())
    .action(async (options) => finish(await (await import("./commands/setup.ts")).setup(options)));

  program
    .command("test")
    .description("run the test suite (the launcher does it: ./selvage test --help)")
    .allowUnknownOption()
    .action(() => {
      printError(standardOutput, "tests are run by the launcher", "./selvage test");
      finish(EXIT_USAGE);
    });

  const host = program.command("host").description("the hosts that may join");
  host
    .command("add <name>")
    .description("make a single-use token (1 hour) with which a host joins")
    .addOption(data())
    .addOption(json())
    .addHelpText(
      "after",
      examples("selvage host add h4", "selvage agent join https://server:9696 TOKEN --data DIR   (on that host)"),
    )
    .action(async (name, options) => finish(await (await import("./commands/host.ts")).hostAdd(name, options)));
  host
    .command("list")
    .description("all hosts")
    .addOption(data())
    .addOption(json())
    .action(async (options) => finish(await (await import("./commands/host.ts")).hostList(options)));
  host
    .command("delete <name>")
    .description("revoke a host's identity and forget it")
    .option("--unbind", "unbind its ports as well, by the same write: for a host that was stolen")
    .addOption(data())
    .action(async (name, options) => finish(await (await import("./commands/host.ts")).hostDelete(name, options)));

  const lab = program.command("lab").description("hosts and machines on this machine").enablePositionalOptions();
  lab
    .command("plug <port>")
    .description("bind a port (id or name) to a host and plug a machine into it; it gets its address by DHCP")
    .requiredOption("--host <name>", "the host, such as h2")
    .addOption(data())
    .addOption(json())
    .addHelpText(
      "after",
      examples(
        "openstack port create --network red-net red-3",
        "selvage lab plug red-3 --host h3",
        "selvage lab exec red-3 -- ip addr",
      ),
    )
    .action(async (port, options) => finish(await (await import("./commands/lab.ts")).labPlug(port, options)));
  lab
    .command("unplug <port>")
    .description("pull a machine out and unbind its port")
    .addOption(data())
    .addOption(json())
    .action(async (port, options) => finish(await (await import("./commands/lab.ts")).labUnplug(port, options)));
  lab
    .command("exec <where> <command...>")
    .description(
      "run a command in a machine (its port's id or name), or with --in-host on a host; its exit code is passed on",
    )
    .option("--in-host", "<where> is a host, such as h1")
    .addOption(data())
    .passThroughOptions()
    .addHelpText(
      "after",
      examples("selvage lab exec red-1 -- ping -c 3 10.0.0.12", "selvage lab exec --in-host h1 -- ip addr show br-ul"),
    )
    .action(async (where, command, options) =>
      finish(await (await import("./commands/lab.ts")).labExec(where, command, options)),
    );
  lab
    .command("hosts")
    .description("the lab's hosts, with the processes of each")
    .addOption(data())
    .addOption(json())
    .action(async (options) => finish(await (await import("./commands/lab.ts")).labHosts(options)));
  lab
    .command("machines")
    .description("the lab's machines")
    .addOption(data())
    .addOption(json())
    .action(async (options) => finish(await (await import("./commands/lab.ts")).labMachines(options)));

  lab
    .command("simulate")
    .description("run server, simulated hosts and machines in one process, until it is ended")
    .requiredOption("--data <dir>", "the server's own data directory")
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--port <n>", "port to listen on; 0: any free one", wholeNumber(0, 65535), 9696)
    .option("--socket <path>", "listen on a unix socket as well")
    .option("--ready-file <path>", "write {pid, port, url} there once it listens")
    .addOption(olderLog())
    .option("--underlay-mtu <bytes>", "MTU between the hosts (default 1500)", wholeNumber(1280, 65535))
    .option("--tunnel-overhead <bytes>", "what the tunnel takes of it: 66 over IPv4, 86 over IPv6", wholeNumber(0, 500))
    .action(async (options) => finish(await (await import("./commands/simulate.ts")).labSimulate(options)));

  addServices(program, finish, declared);
  return program;
}

/** Runs one command line and gives its exit code. */
export async function main(words: readonly string[]): Promise<number> {
  let code = 0;
  const declared = needsDeclared(words) ? await (await import("./config/declared.ts")).loadDeclared() : undefined;
  const program = buildProgram((ended) => {
    code = ended;
  }, declared);
  const all = [program, ...program.commands, ...program.commands.flatMap((command) => command.commands)];
  for (const command of all) command.exitOverride();
  try {
    if (words.length === 0) {
      program.outputHelp();
      return 0;
    }
    await program.parseAsync(["node", "selvage", ...words]);
    return code;
  } catch (cause) {
    // Commander has printed its own words already.
    if (cause instanceof CommanderError) return cause.exitCode === 0 ? 0 : EXIT_USAGE;
    const { describe } = await import("./failures.ts");
    const { text, hint, exitCode } = describe(cause);
    printError(standardOutput, text, hint);
    return exitCode;
  }
}

if (import.meta.main) {
  // Whoever reads our output may have had enough (`selvage env | head -1`): that is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit();
    throw error;
  });
  process.exitCode = await main(process.argv.slice(2));
}
