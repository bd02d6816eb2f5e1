/** A fabric of real switches for a bench, as `selvage up` makes it, and the ways into it that cost no process while something is timed. */
import { request } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Api,
  askControl,
  bringUp,
  captureInLab,
  type DataPaths,
  dataPaths,
  type LabState,
  openFabric,
  openLab,
  takeDown,
} from "@selvage/lab";
import {
  Bridge,
  Configuration,
  connect,
  Interface,
  insert,
  mutate,
  named,
  OPEN_VSWITCH,
  type OvsdbClient,
  Port,
  Replica,
  select,
  transactApplied,
  type Uuid,
} from "@selvage/ovsdb";
import { ApiClient } from "./api-client.ts";
import { whenInterrupted } from "./bench.ts";

const entry = fileURLToPath(new URL("../packages/cli/src/main.ts", import.meta.url));

/** A running fabric; it goes with its scope. */
export interface Fabric extends AsyncDisposable {
  readonly paths: DataPaths;
  /** The lab's first process, as this machine numbers it. */
  readonly firstPid: number;
  /** For the lab's own functions. */
  readonly labApi: Api;
  /** Over kept connections. */
  readonly api: ApiClient;
  state(): Promise<LabState>;
  /** Runs a script in the lab. Throws when it fails. */
  script(text: string): Promise<string>;
}

export async function openBenchFabric(directory: string, hosts: number): Promise<Fabric> {
  const dataDirectory = join(directory, "f");
  const runningMarks = join(directory, "running");
  const common = { dataDirectory, runningMarks, onStep: () => undefined };
  const down = async (): Promise<void> => {
    await takeDown({ ...common, data: "keep" });
  };
  const forget = whenInterrupted(down);
  try {
    await bringUp({ ...common, hosts, port: 0, selvage: [process.execPath, entry], onDetail: () => undefined });
    const { record, api: labApi } = await openFabric(dataDirectory);
    const { lab } = await openLab(dataDirectory);
    const paths = dataPaths(dataDirectory);
    const api = await ApiClient.admin(record.url, paths.server, 8);
    await api.takeQuota();
    return {
      paths,
      firstPid: lab.first.pid,
      labApi,
      api,
      state: () => askControl(paths.labSocket, { op: "state" }),
      async script(text) {
        const { code, stdout, stderr } = await captureInLab(
          lab.first.pid,
          { kind: "lab" },
          ["sh", "-ec", text],
          60_000,
        );
        if (code !== 0) throw new Error(`in the lab: ${stderr || stdout}`);
        return stdout;
      },
      async [Symbol.asyncDispose]() {
        api.close();
        await down();
        forget();
      },
    };
  } catch (error) {
    await down();
    forget();
    throw error;
  }
}

/** The database of one host's switch, for plugging without a process. */
export class SwitchDatabase implements Disposable {
  readonly #client: OvsdbClient;
  readonly #replica: Replica;
  readonly #bridge: Uuid;
  /** Ports that were added here, by name. */
  readonly #ports = new Map<string, Uuid>();

  private constructor(client: OvsdbClient, replica: Replica, bridge: Uuid) {
    this.#client = client;
    this.#replica = replica;
    this.#bridge = bridge;
  }

  static async open(hostDirectory: string): Promise<SwitchDatabase> {
    const client = await connect(`unix:${join(hostDirectory, "run", "db.sock")}`);
    const replica = new Replica(OPEN_VSWITCH, [Configuration]);
    await client.monitor(replica);
    const [{ rows }] = await client.transact(OPEN_VSWITCH, [select(Bridge, [["name", "==", "br-int"]])]);
    const [bridge] = rows;
    if (bridge === undefined) throw new Error("the switch has no bridge br-int");
    return new SwitchDatabase(client, replica, bridge._uuid);
  }

  /** Adds an interface that names no port yet; resolves when the switch has taken it up. */
  async add(name: string): Promise<void> {
    const [, { uuid }] = await transactApplied(this.#client, this.#replica, [
      insert(Interface, { name }, "interface"),
      insert(Port, { name, interfaces: [named("interface")] }, "port"),
      mutate(Bridge, [["_uuid", "==", this.#bridge]], [["ports", "insert", [named("port")]]]),
    ]);
    this.#ports.set(name, uuid);
  }

  /** Adds interfaces without a machine behind them, each of which names a port, in one transaction; resolves when the switch has taken them up. */
  async addDummies(all: readonly { readonly name: string; readonly port: string }[]): Promise<void> {
    const made = all.flatMap(({ name, port }, at) => [
      insert(Interface, { name, type: "dummy", external_ids: { "iface-id": port } }, `interface${at}`),
      insert(Port, { name, interfaces: [named(`interface${at}`)] }, `port${at}`),
    ]);
    const ports = all.map((_, at) => named(`port${at}`));
    const into = mutate(Bridge, [["_uuid", "==", this.#bridge]], [["ports", "insert", ports]]);
    await transactApplied(this.#client, this.#replica, [...made, into]);
  }

  /** Says which port an interface is of; resolves when the database has it, which is before the switch or an agent does. */
  async name(name: string, port: string): Promise<void> {
    await this.#client.transact(OPEN_VSWITCH, [
      mutate(Interface, [["name", "==", name]], [["external_ids", "insert", { "iface-id": port }]]),
    ]);
  }

  async remove(name: string): Promise<void> {
    const uuid = this.#ports.get(name);
    if (uuid === undefined) return;
    this.#ports.delete(name);
    await transactApplied(this.#client, this.#replica, [
      mutate(Bridge, [["_uuid", "==", this.#bridge]], [["ports", "delete", [uuid]]]),
    ]);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/** What an agent tells of itself on its socket: the value of each metric without labels of its own. */
export function agentMetrics(hostDirectory: string): Promise<ReadonlyMap<string, number>> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: join(hostDirectory, "agent", "agent.sock"), path: "/metrics" }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("error", reject);
      response.on("end", () => {
        const values = new Map<string, number>();
        for (const line of text.split("\n")) {
          const [, name, value] = /^selvage_(\w+)(?:\{[^}]*\})? (\S+)$/.exec(line) ?? [];
          if (name !== undefined) values.set(name, Number(value));
        }
        resolve(values);
      });
    });
    asked.on("error", reject);
    asked.end();
  });
}
