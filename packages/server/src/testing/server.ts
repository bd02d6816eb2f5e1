/** A server for tests: on a free port, a memory store unless told, projects with users of each role at hand; it goes with its scope. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningServer, type ServerOptions, startServer } from "../server.ts";
import { type Json, TestClient } from "./client.ts";

export interface TestServerOptions extends Partial<Omit<ServerOptions, "runAs">> {
  /** Where intent stands when no store and no URL is given: in memory, or in a file of the data directory. */
  readonly on?: "memory" | "sqlite";
}

export interface TestProject {
  readonly id: string;
  readonly member: TestClient;
  readonly reader: TestClient;
  readonly memberName: string;
  readonly readerName: string;
}

/** The password of every user that `project` makes. */
export const testPassword = "not a secret";

export class TestServer implements AsyncDisposable {
  readonly running: RunningServer;
  readonly dataDir: string;
  readonly admin: TestClient;
  readonly adminPassword: string;
  /** Without a token. */
  readonly nobody: TestClient;
  readonly #keep: boolean;

  constructor(running: RunningServer, dataDir: string, admin: TestClient, adminPassword: string, keep: boolean) {
    this.running = running;
    this.dataDir = dataDir;
    this.admin = admin;
    this.adminPassword = adminPassword;
    this.nobody = new TestClient(running.url);
    this.#keep = keep;
  }

  get url(): string {
    return this.running.url;
  }

  /** A project with a member and a reader. */
  async project(name: string): Promise<TestProject> {
    const project = await this.admin.post("/identity/v3/projects", { project: { name } });
    const id = String((project.body.project as Json).id);
    const user = async (role: string): Promise<TestClient> => {
      await this.user(`${name}-${role}`, id, role);
      return this.login(`${name}-${role}`, testPassword, name);
    };
    const [member, reader] = await Promise.all([user("member"), user("reader")]);
    return { id, member, reader, memberName: `${name}-member`, readerName: `${name}-reader` };
  }

  /** A user with a role in a project; gives its id. */
  async user(name: string, projectId: string, role: string): Promise<string> {
    const roles = (await this.admin.get(`/identity/v3/roles?name=${role}`)).body.roles as readonly Json[];
    const created = await this.admin.post("/identity/v3/users", { user: { name, password: testPassword } });
    const id = String((created.body.user as Json).id);
    const granted = await this.admin.put(
      `/identity/v3/projects/${projectId}/users/${id}/roles/${String(roles[0]?.id)}`,
      undefined,
    );
    if (granted.status !== 204) throw new Error(`the role was not given: ${granted.status} ${granted.text}`);
    return id;
  }

  /** A client with a token for a project. Throws when the login is refused. */
  login(name: string, password: string, project: string): Promise<TestClient> {
    return login(this.url, name, password, project);
  }

  /** Makes a host as an admin does and, like a relay would, reports it alive. Gives its id. */
  async host(name: string): Promise<string> {
    const created = await this.admin.post("/v1/hosts", { name });
    const id = String((created.body.host as Json).id);
    this.running.core.hosts.report(id, { portsUp: [], inForce: this.running.core.writer.replica.revision });
    return id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.running.close();
    if (!this.#keep) await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** Starts a server. A data directory that is given stays when the server goes. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), "selvage-server-")));
  const keep = options.dataDir !== undefined;
  try {
    const { on = "memory", ...rest } = options;
    const running = await startServer({
      log: "silent",
      port: 0,
      ...(on === "memory" ? { storeUrl: "memory:" } : {}),
      ...rest,
      dataDir,
      // A test runs as whoever runs it.
      runAs: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
    });
    const adminPassword = (await readFile(join(dataDir, "admin-password"), "utf8")).trim();
    const admin = await login(running.url, "admin", adminPassword, "admin");
    return new TestServer(running, dataDir, admin, adminPassword, keep);
  } catch (error) {
    if (!keep) await rm(dataDir, { recursive: true, force: true });
    throw error;
  }
}

/** Gets a token with a password. Throws when it is refused. */
export async function login(url: string, name: string, password: string, project: string): Promise<TestClient> {
  const answer = await new TestClient(url).post("/identity/v3/auth/tokens", passwordAuth(name, password, project));
  const token = answer.headers.get("x-subject-token");
  if (answer.status !== 201 || token === null)
    throw new Error(`${name} was not let in: ${answer.status} ${answer.text}`);
  return new TestClient(url, token);
}

/** The body of a login, in the one domain. */
export function passwordAuth(name: string, password: string, project?: string): Json {
  const domain = { id: "default" };
  return {
    auth: {
      identity: { methods: ["password"], password: { user: { name, domain, password } } },
      ...(project === undefined ? {} : { scope: { project: { name: project, domain } } }),
    },
  };
}
