/**
 * Writes the reference pages that are derived from declarations: tables, drop reasons, errors, resources, configuration. `--check` writes nothing and exits 1
 * when a page is not what the declarations say (a law test calls it so).
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { dropReasons, errorTypes } from "@selvage/base";
import { type DeclaredOption, loadDeclared } from "@selvage/cli";
import { type Field, resources } from "@selvage/model";
import { type Action, type Column, limits, type Operand, rowText, type Step, selvageProgram } from "@selvage/pipeline";

const root = join(import.meta.dirname, "..");
const generated = "<!-- Made by `npm run docs` from the declarations: do not edit. -->";

const cellText = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cellText).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

const operandText = (operand: Operand): string => {
  switch (operand.from) {
    case "param":
      return operand.name;
    case "field":
      return `\`${operand.field.name}\``;
    case "value":
      return String(operand.value);
  }
};

function stepText(step: Step): string {
  switch (step.do) {
    case "set":
      return `\`${step.field.name}\` := ${operandText(step.to)}`;
    case "measure":
      return `\`${step.field.name}\` := 1 if the frame has more than ${operandText(step.limit)} bytes`;
    case "goto":
      return `→ ${step.table}`;
    case "back":
      return `→ ${step.table}, again`;
    case "track":
      return `track the connection in \`${step.zone.name}\` → ${step.table}`;
    case "commit":
      return `keep the connection in \`${step.zone.name}\` with ${step.keep.map(({ field, to }) => `\`${field.name}\` = ${operandText(to)}`).join(", ")}`;
    case "translate":
      return `translate what \`${step.zone.name}\` knows → ${step.table}`;
    case "translateSource":
      return `keep the connection in \`${step.zone.name}\` with the source ${operandText(step.address)}${step.ports === null ? "" : `, a port of ${operandText(step.ports.first)} to ${operandText(step.ports.last)}`} → ${step.table}`;
    case "pushTag":
      return `tag with ${operandText(step.vlan)}`;
    case "popTag":
      return "take the tag away";
    case "select":
      return `→ one of ${step.table}, the same for all of a flow`;
    case "decrementTtl":
      return "`ttl` one less";
    case "limit":
      return `drop: \`${limits[step.kind].reason}\`, what is above the port's rate of ${step.kind}`;
    case "report":
      return `a copy to the agent: ${step.kind}`;
    case "call":
      return `call ${step.table}`;
    case "replicate":
      return `a copy to each of ${step.table}`;
    case "output":
      return `output to the interface of ${operandText(step.to)}`;
    case "reply":
      return "back to where it came in";
    case "tunnel":
      return `tunnel by ${step.by} to ${operandText(step.to)}`;
    case "punt":
      return `to the agent: ${step.kind}`;
    case "absorb":
      return "ends here, and is no drop";
    case "drop":
      return `drop: \`${step.reason}\``;
  }
}

const stepsText = (steps: readonly Step[]): string => (steps.length === 0 ? "nothing" : steps.map(stepText).join("; "));

function pipelinePage(): string {
  const tables = selvageProgram.tables.map((table) => {
    const columns = Object.entries<Column>(table.columns).map(
      ([name, column]) => `\`${name}\` ${column.match}${column.field.name === name ? "" : ` (${column.field.name})`}`,
    );
    const ranks = Object.entries<number>(table.ranks).sort(([, a], [, b]) => b - a);
    const constants = selvageProgram.constants.filter((row) => row.table === table.name);
    return [
      `## ${table.number} \`${table.name}\``,
      "",
      table.text,
      "",
      `- ${table.role}, ${table.scheme}${ranks.length === 0 ? "" : `: ${ranks.map(([rank]) => rank).join(" > ")}`}; key: ${columns.join(", ")}`,
      ...(table.role === "stage" ? [`- miss: ${stepsText(table.miss)}`] : []),
      "",
      markdownTable(
        ["action", "takes", "does"],
        Object.entries<Action>(table.actions).map(([name, action]) => [
          `\`${name}\``,
          Object.keys(action.params).join(", "),
          stepsText(action.steps),
        ]),
      ),
      ...(constants.length === 0 ? [] : ["", "Always there:", "", "```", ...constants.map(rowText), "```"]),
      "",
    ].join("\n");
  });
  return `${generated}\n\n# The pipeline, table by table\n\nEvery datapath executes this program. What it is for and how rows get into it: [architecture](architecture.md).\n\n${tables.join("\n")}`;
}

function reasonsPage(): string {
  const rows = Object.values(dropReasons).map((reason) => [
    String(reason.number),
    `\`${reason.code}\``,
    reason.text,
    reason.kind,
    reason.hint,
  ]);
  return `${generated}\n\n# Why a packet was dropped\n\nNumbers are stable and never reused: they stand in the cookie of the flow that dropped the packet.\n\n${markdownTable(["number", "reason", "what it means", "about", "what to do"], rows)}\n`;
}

function errorsPage(): string {
  const rows = Object.entries(errorTypes).map(([type, entry]) => [
    `\`${type}\``,
    String(entry.status),
    entry.message,
    entry.hint,
  ]);
  return `${generated}\n\n# Errors\n\nThe \`type\` in a \`NeutronError\`, and the code of an error of the command line.\n\n${markdownTable(["type", "status", "message", "what to do"], rows)}\n`;
}

function resourcesPage(): string {
  const parts = resources
    .filter((resource) => !resource.fact)
    .map((resource) =>
      [
        `## ${resource.kind}`,
        "",
        markdownTable(
          ["field", "type", "POST", "PUT", "read by", "written by", "filter", "sort", "sent to hosts"],
          Object.entries<Field>(resource.fields).map(([name, field]) => [
            `\`${name}\``,
            field.mode === "stored" ? field.type.name : `${field.type.name}, ${field.mode}`,
            field.create,
            field.update,
            field.readers,
            field.create === "refused" && field.update === "refused" ? "" : field.writers,
            field.filter ? "yes" : "",
            field.sort ? "yes" : "",
            field.projected,
          ]),
        ),
        "",
      ].join("\n"),
    );
  return `${generated}\n\n# Resources\n\nOne declaration each, in \`packages/model/src/resources\`; routes, validation, indexes and projections derive from it.\n\n${parts.join("\n")}`;
}

const declared = await loadDeclared();

const optionRows = (options: readonly DeclaredOption[]): string =>
  markdownTable(
    ["setting", "default", "unit", "value", "what it does", "variable, flag"],
    options.map(({ field, byDefault, unit, type, description, env, flag }) => [
      `\`${field}\``,
      byDefault === undefined ? "must be said" : `\`${byDefault}\``,
      unit,
      type,
      description,
      `\`${env}\`, \`--${flag}\``,
    ]),
  );

function configurationPage(): string {
  return `${generated}

# Configuration

Server and agent read a YAML file, over it the environment, over that the flags that are typed:

1. the defaults below;
2. the file: \`--config FILE\`, else \`/etc/selvage/server.yaml\` or \`/etc/selvage/agent.yaml\` where it exists. A dot in a setting's name is
   a section: \`log.level\` is \`level\` under \`log:\`;
3. variables: \`SELVAGE_\` and the name in capitals. A list is parted by commas;
4. flags.

\`--no-config\` leaves out file and variables; \`selvage up\` runs its own server and agents so, that they do not take the settings of services on
the same machine. A mistake ends the start with exit code 64 and is told with file, line and column, or the variable or flag; a name
that is no setting is told with the nearest one. A variable that begins with \`SELVAGE_\` and is no setting is a warning only.

\`selvage config show [server|agent]\` prints the values in force and where each came from (\`--json\` for programs).

## The server: \`selvage server run\`

${optionRows(declared.server)}

## The agent: \`selvage agent run\`

${optionRows(declared.agent)}

## Health and metrics

| who | where | path | answers |
| --- | --- | --- | --- |
| server | its listener and its unix socket | \`/healthz\` | 200 while it runs |
| | | \`/readyz\` | 200 when the store answers, with the head of the log and the revision that this server has; else 503 with \`Retry-After\` |
| | | \`/metrics\` | Prometheus text format, without authentication: let only those reach the listener who may read it |
| agent | \`DATA/agent.sock\`, or \`healthPort\` on 127.0.0.1 | \`/healthz\` | 200 while it runs |
| | | \`/readyz\` | 200 when the switch answers and a revision is in force on it; else 503 |
| | | \`/v1/status\` | what it holds: revision, revision in force, ports up, unbound interfaces, objects set aside |
| | | \`/metrics\` | Prometheus text format |

\`curl --unix-socket /var/lib/selvage-agent/agent.sock http://agent/v1/status\` asks an agent. \`selvage status\` shows of each host whether it is
alive, its datapath, the revision in force, interfaces whose port is not bound there, and objects that were set aside with the reason; and of the whole (\`problems\`)
networks on a physical network that no host has.

## Logs

Server and agent write to standard error, one line an event: \`journalctl -u selvage-server -u selvage-agent\`. Where \`selvage up\` runs them, the
lines are in \`DATA/log\`: one file each for the server, every host's switch, database and agent, the machines, and the lab itself. A file
that reaches 4 MiB becomes \`NAME.log.1\` (the former one is gone) and begins anew: nothing else rotates them, and none grows beyond twice that.
`;
}

export const pages: Readonly<Record<string, () => string>> = {
  "docs/pipeline.md": pipelinePage,
  "docs/drop-reasons.md": reasonsPage,
  "docs/errors.md": errorsPage,
  "docs/resources.md": resourcesPage,
  "docs/configuration.md": configurationPage,
};

/** Pages whose text is not what the declarations say now. */
export const stalePages = (): readonly string[] =>
  Object.entries(pages)
    .filter(([path, make]) => {
      try {
        return readFileSync(join(root, path), "utf8") !== make();
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return true;
        throw error;
      }
    })
    .map(([path]) => path);

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  if (process.argv.includes("--check")) {
    const stale = stalePages();
    for (const path of stale) process.stderr.write(`${path} is not what the declarations say: run npm run docs\n`);
    process.exitCode = stale.length === 0 ? 0 : 1;
  } else {
    for (const [path, make] of Object.entries(pages)) writeFileSync(join(root, path), make());
  }
}
