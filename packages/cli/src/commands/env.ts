/** `selvage env`: the OS_* variables that every OpenStack client reads. */

import { adminPassword, LabError, openFabric, readDemoUsers } from "@selvage/lab";
import { dataDirectory } from "../context.ts";
import { Exit } from "../exit.ts";
import { type Output, standardOutput } from "../format.ts";

export interface EnvFlags {
  readonly project?: string;
  readonly data?: string;
}

/** A word as a POSIX shell reads it back unchanged. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Runs `selvage env`. */
export async function env(flags: EnvFlags, output: Output = standardOutput): Promise<number> {
  const directory = dataDirectory(flags.data);
  const { paths, record } = await openFabric(directory);
  const users = await readDemoUsers(paths);
  const demo = users.find((user) => user.project === flags.project);
  if (flags.project !== undefined && flags.project !== "admin" && demo === undefined) {
    const names = ["admin", ...users.map((user) => user.project)].join(", ");
    throw new LabError("data-dir", `the password of project "${flags.project}" is not known here`, `known: ${names}`);
  }
  const who = demo ?? { project: "admin", user: "admin", password: await adminPassword(paths) };
  const variables = {
    OS_AUTH_URL: `${record.url}/identity/v3`,
    OS_IDENTITY_API_VERSION: "3",
    OS_AUTH_TYPE: "password",
    OS_USERNAME: who.user,
    OS_PASSWORD: who.password,
    OS_PROJECT_NAME: who.project,
    OS_USER_DOMAIN_NAME: "Default",
    OS_PROJECT_DOMAIN_NAME: "Default",
    OS_REGION_NAME: "RegionOne",
  };
  // Left over from another cloud they would win over what is set here.
  output.text(
    "unset OS_TOKEN OS_PROJECT_ID OS_USER_ID OS_TENANT_NAME OS_TENANT_ID OS_CLOUD OS_SYSTEM_SCOPE OS_DOMAIN_NAME OS_USER_DOMAIN_ID OS_PROJECT_DOMAIN_ID\n",
  );
  for (const [name, value] of Object.entries(variables)) output.text(`export ${name}=${shellWord(value)}\n`);
  return Exit.ok;
}
