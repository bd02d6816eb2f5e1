/** Runs the system's own tools (iproute2, util-linux, Open vSwitch) as child processes and says exactly which one failed and why. */

import { spawn } from "node:child_process";
import { LabError } from "./failure.ts";

/** What a tool that ended gave back. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Text for standard input; nothing is given when absent. */
  readonly input?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** After so many milliseconds the tool is killed and the call fails. Default 60,000. */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 60_000;

/**
 * Runs a tool to its end and gives its exit code and output, also when the code is not 0.
 * @throws LabError `command-missing` when there is no such tool, `command-timeout` when it did not end in time.
 */
export function attempt(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const [file, ...args] = argv;
  if (file === undefined) throw new LabError("command-missing", "no command was given");
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      stdio: ["pipe", "pipe", "pipe"],
      env: options.env === undefined ? process.env : { ...process.env, ...options.env },
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill("SIGKILL");
    }, timeoutMs);
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.stdin.on("error", () => {
      // The tool ended before it read all of its input; its exit code tells the story.
    });
    child.on("error", (cause: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      const reason = cause.code === "ENOENT" ? "is not installed" : `could not be started (${cause.message})`;
      reject(new LabError("command-missing", `${file} ${reason}`, "run ./selvage setup"));
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (timedOut) {
        reject(new LabError("command-timeout", `${argv.join(" ")} did not end within ${timeoutMs} ms`));
        return;
      }
      resolve({
        code: code ?? (signal === null ? 1 : 128),
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      });
    });
    child.stdin.end(options.input ?? "");
  });
}

/**
 * Runs a tool that must succeed and gives its standard output.
 * @throws LabError `command-failed` with the tool's own words when its exit code is not 0.
 */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await attempt(argv, options);
  if (result.code !== 0) {
    const words = result.stderr.trim() || result.stdout.trim() || "no output";
    throw new LabError("command-failed", `${argv.join(" ")} ended with ${result.code}: ${words}`);
  }
  return result.stdout;
}

/**
 * Runs many iproute2 commands in one process (`ip -batch -`); stops at the first that fails.
 * @param lines commands without the leading `ip`
 * @param netns name under /run/netns to run them in
 */
export async function ipBatch(lines: readonly string[], netns?: string): Promise<void> {
  if (lines.length === 0) return;
  const where = netns === undefined ? [] : ["-n", netns];
  await run(["ip", ...where, "-batch", "-"], { input: `${lines.join("\n")}\n` });
}
