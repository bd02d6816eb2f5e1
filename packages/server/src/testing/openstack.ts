/** The stock clients of OpenStack as programs, told where and who by their environment. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Json } from "./client.ts";
import type { TestServer } from "./server.ts";

const run = promisify(execFile);

/** Runs a client with arguments; gives what it printed. Throws what it said when it failed. */
export function client(server: TestServer, user: string, password: string, project: string, command = "openstack") {
  const env = {
    PATH: process.env.PATH,
    OS_AUTH_URL: `${server.url}/identity/v3`,
    OS_IDENTITY_API_VERSION: "3",
    OS_USERNAME: user,
    OS_PASSWORD: password,
    OS_PROJECT_NAME: project,
    OS_USER_DOMAIN_NAME: "Default",
    OS_PROJECT_DOMAIN_NAME: "Default",
  };
  return async (...args: readonly string[]): Promise<string> => {
    try {
      return (await run(command, [...args], { env })).stdout;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") {
        throw new Error(`the ${command} client is not installed: run ./selvage setup`, { cause: error });
      }
      throw error;
    }
  };
}

/** What a client printed with `-f json`. */
export const json = async (text: Promise<string>): Promise<Json> => JSON.parse(await text) as Json;
