/** OVN as Debian has it: its databases, ovn-northd, and an ovn-controller on each host; told by `ovn-nbctl` as a daemon (ovn-nbctl(8)). */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Connection, dial } from "@selvage/ovsdb";
import { until } from "../bench.ts";
import { Ground, outsideAddress } from "./ground.ts";
import { bridgeMappings, type Host, type HostCount, ifaceId, startHosts } from "./hosts.ts";
import {
  addressOf,
  cidrOf,
  floatingMac,
  floatingOf,
  gatewayMac,
  gatewayOf,
  hostName,
  macOf,
  outerAddress,
  outerMac,
  type Plan,
  type PlannedGroup,
  type PlannedOutside,
  type PlannedPort,
  type PlannedRule,
  tunnelAddress,
} from "./plan.ts";
import { Daemon, run } from "./processes.ts";
import type { Side } from "./side.ts";

const schemas = "/usr/share/ovn";
/** Ports that one command adds. */
const step = 100;
const quiet = ["--no-chdir", "-vconsole:off", "-vsyslog:off"];

const switchOf = (network: number): string => `sw${network}`;
const groupOf = (group: string): string => `pg_${group}`;

/** The first thing of a rule is the port, as Neutron writes it. */
function matchOf(group: string, { tcp, fromMembers }: PlannedRule): string {
  const terms = [`outport == @${groupOf(group)}`, "ip4"];
  if (fromMembers) terms.push(`ip4.src == $${groupOf(group)}_ip4`);
  if (tcp !== undefined) {
    const [first, last] = tcp;
    terms.push(first === last ? `tcp.dst == ${first}` : `tcp.dst >= ${first} && tcp.dst <= ${last}`);
  }
  return terms.join(" && ");
}

export class OvnSide implements Side {
  readonly name = "OVN";
  readonly hosts: readonly Host[];
  readonly ground: Ground | undefined;
  readonly #directory: string;
  readonly #daemons: Daemon[] = [];
  #nb = "";
  #control: Connection | undefined;

  private constructor(hosts: readonly Host[], directory: string, ground: Ground | undefined) {
    this.hosts = hosts;
    this.ground = ground;
    this.#directory = directory;
  }

  static async start(count: HostCount, directory: string, stand?: "on ground"): Promise<OvnSide> {
    const ground = stand === undefined ? undefined : await Ground.make(join(directory, "ovn-ground"));
    const hosts = await startHosts(count, join(directory, "ovn"), ground);
    const side = new OvnSide(hosts, join(directory, "ovn-central"), ground);
    try {
      await side.#start();
      return side;
    } catch (error) {
      await side.end();
      throw error;
    }
  }

  #at(file: string): string {
    return join(this.#directory, file);
  }

  get #env(): NodeJS.ProcessEnv {
    return { ...process.env, OVN_RUNDIR: this.#directory, OVN_LOGDIR: this.#directory, OVN_DBDIR: this.#directory };
  }

  async #start(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    for (const which of ["nb", "sb"] as const) {
      await run(["ovsdb-tool", "create", this.#at(`${which}.db`), `${schemas}/ovn-${which}.ovsschema`]);
      const places = [`--remote=punix:${this.#at(`${which}.sock`)}`, `--unixctl=${this.#at(`${which}.ctl`)}`];
      this.#daemons.push(new Daemon(["ovsdb-server", ...places, ...quiet, this.#at(`${which}.db`)], this.#env));
    }
    const dbs = [`--ovnnb-db=unix:${this.#at("nb.sock")}`, `--ovnsb-db=unix:${this.#at("sb.sock")}`];
    this.#daemons.push(new Daemon(["ovn-northd", ...dbs, `--unixctl=${this.#at("northd.ctl")}`, ...quiet], this.#env));
    await run(["ovn-nbctl", `--db=unix:${this.#at("nb.sock")}`, "--timeout=20", "init"], this.#env);
    const daemon = [
      "ovn-nbctl",
      `--db=unix:${this.#at("nb.sock")}`,
      "--detach",
      `--pidfile=${this.#at("nbctl.pid")}`,
      ...quiet,
    ];
    this.#nb = (await run(daemon, this.#env)).trim();
    this.#control = new Connection(await dial({ kind: "unix", path: this.#nb }), { probeMs: 0 });
    for (const host of this.hosts) {
      const ids = {
        "ovn-remote": `"unix:${this.#at("sb.sock")}"`,
        "ovn-encap-type": "geneve",
        "ovn-encap-ip": tunnelAddress(host.number),
        "ovn-bridge-datapath-type": "netdev",
        "ovn-remote-probe-interval": "0",
        "ovn-openflow-probe-interval": "0",
        ...(this.ground === undefined ? {} : { "ovn-bridge-mappings": bridgeMappings }),
      };
      await host.vsctl(
        "set",
        "open_vswitch",
        ".",
        ...Object.entries(ids).map(([key, value]) => `external_ids:${key}=${value}`),
      );
      host.lastingDaemon("ovn-controller", host.database, ...quiet);
    }
    await until("chassis", 30_000, async () => {
      const chassis = await this.#sbctl("--bare", "--columns=name", "list", "chassis");
      return chassis.split("\n").filter((line) => line !== "").length >= this.hosts.length ? true : undefined;
    });
  }

  /** Asks the daemon by its socket, as `ovn-nbctl` would: a process for each question would cost more than the answer. */
  async #nbctl(...words: readonly string[]): Promise<string> {
    if (this.#control === undefined) throw new Error("ovn-nbctl does not run");
    return String(await this.#control.request("run", [...words]));
  }

  #sbctl(...words: readonly string[]): Promise<string> {
    return run(["ovn-sbctl", `--db=unix:${this.#at("sb.sock")}`, "--timeout=600", ...words], this.#env);
  }

  /**
   * Makes ovn-controller commit connections without `nat(src)`, which it takes for a means against colliding tuples: with it, short connections make the switch
   * (Open vSwitch 3.1.0, userspace) end itself by an assertion of its conntrack within seconds.
   */
  async withoutZeroSnat(): Promise<void> {
    for (const host of this.hosts) {
      const row = await until("a datapath", 20_000, async () => {
        const found = (await host.vsctl("--bare", "--columns=_uuid", "list", "datapath")).trim();
        return found === "" ? undefined : found;
      });
      await host.vsctl("set", "datapath", row, "capabilities:ct_zero_snat=false");
    }
  }

  /** Until every real host has said that it holds everything (`hv_cfg`). */
  async #sync(): Promise<void> {
    await this.#nbctl("--timeout=900", "--wait=hv", "sync");
  }

  async build(plan: Plan): Promise<void> {
    await this.#nbctl("lr-add", "r");
    for (let network = 1; network <= plan.networks; network += 1) {
      const [name, router] = [switchOf(network), `r-${network}`];
      await this.#nbctl(
        ...["ls-add", name, "--", "lrp-add", "r", router, gatewayMac(network), `${gatewayOf(network)}/24`],
        ...["--", "lsp-add", name, `${name}-r`, "--", "lsp-set-type", `${name}-r`, "router"],
        ...[
          "--",
          "lsp-set-addresses",
          `${name}-r`,
          "router",
          "--",
          "lsp-set-options",
          `${name}-r`,
          `router-port=${router}`,
        ],
      );
    }
    if (plan.outside !== undefined) await this.#addGateway();
    for (const group of plan.groups) await this.#addGroup(group);
    for (let host = this.hosts.length + 1; host <= plan.hosts; host += step) {
      const words: string[] = [];
      for (let at = host; at < Math.min(host + step, plan.hosts + 1); at += 1)
        words.push("--", "chassis-add", hostName(at), "geneve", tunnelAddress(at));
      await this.#sbctl(...words);
    }
    for (let at = 0; at < plan.ports.length; at += step)
      await this.#nbctl(...plan.ports.slice(at, at + step).flatMap((port) => this.#addition(port)));
    if (plan.outside !== undefined) await this.#translate(plan.networks, plan.outside);
    await this.#nbctl("--timeout=900", "--wait=sb", "sync");
    const far = plan.ports.filter((port) => port.host > this.hosts.length);
    for (let at = 0; at < far.length; at += 10 * step) {
      const some = far.slice(at, at + 10 * step);
      await this.#sbctl(...some.flatMap((port) => ["--", "lsp-bind", ifaceId(port), hostName(port.host)]));
    }
    await this.#sync();
  }

  /** A port of the router on a switch that is the physical network; all hosts may have it, the first before the others (ovn-nb(5), "HA_Chassis_Group"). */
  async #addGateway(): Promise<void> {
    const port = [outerMac, `${outerAddress}/24`];
    await this.#nbctl(
      ...["ls-add", "outside", "--", "lsp-add", "outside", "wire", "--", "lsp-set-type", "wire", "localnet"],
      ...["--", "lsp-set-addresses", "wire", "unknown", "--", "lsp-set-options", "wire", "network_name=public"],
      ...["--", "lrp-add", "r", "r-outside", ...port, "--", "lsp-add", "outside", "outside-r"],
      ...["--", "lsp-set-type", "outside-r", "router", "--", "lsp-set-addresses", "outside-r", "router"],
      ...["--", "lsp-set-options", "outside-r", "router-port=r-outside", "nat-addresses=router"],
      ...["--", "lr-route-add", "r", "0.0.0.0/0", outsideAddress, "r-outside"],
    );
    await this.#nbctl("ha-chassis-group-add", "gateways");
    for (const { name, number } of this.hosts)
      await this.#nbctl("ha-chassis-group-add-chassis", "gateways", name, String(100 - number));
    const [group] = (await this.#nbctl("--bare", "--columns=_uuid", "list", "ha_chassis_group")).trim().split("\n");
    await this.#nbctl("set", "logical_router_port", "r-outside", `ha_chassis_group=${group}`);
  }

  async #translate(networks: number, { floating, betweenSigns }: PlannedOutside): Promise<void> {
    for (let network = 1; network <= networks; network += 1)
      await this.#nbctl("lr-nat-add", "r", "snat", outerAddress, cidrOf(network));
    for (const port of floating) {
      const [outer, inner] = [floatingOf(port), addressOf(port)];
      await this.#nbctl("lr-nat-add", "r", "dnat_and_snat", outer, inner, ifaceId(port), floatingMac(port));
    }
    if (betweenSigns === undefined) return;
    const signs = ["bfd-min-rx", "bfd-min-tx"].map((key) => `options:${key}=${betweenSigns}`);
    await this.#nbctl("set", "nb_global", ".", ...signs, "options:bfd-mult=3");
  }

  async #addGroup({ name, rules }: PlannedGroup): Promise<void> {
    const group = groupOf(name);
    await this.#nbctl(
      ...["pg-add", group],
      ...["--", "acl-add", group, "from-lport", "1002", `inport == @${group} && ip4`, "allow-related"],
      ...["--", "acl-add", group, "from-lport", "1001", `inport == @${group} && ip`, "drop"],
      ...["--", "acl-add", group, "to-lport", "1001", `outport == @${group} && ip`, "drop"],
      ...rules.flatMap((rule) => ["--", "acl-add", group, "to-lport", "1002", matchOf(name, rule), "allow-related"]),
    );
  }

  #addition(port: PlannedPort): readonly string[] {
    const addresses = `"${macOf(port)} ${addressOf(port)}"`;
    const id = `@p${port.number}`;
    const [made, name] = [["--", `--id=${id}`, "create", "logical_switch_port"], ifaceId(port)];
    return [
      ...[...made, `name="${name}"`, `addresses=${addresses}`, `port_security=${addresses}`],
      ...["--", "add", "logical_switch", switchOf(port.network), "ports", id],
      ...(port.group === undefined ? [] : ["--", "add", "port_group", groupOf(port.group), "ports", id]),
    ];
  }

  async add(port: PlannedPort): Promise<void> {
    await this.#nbctl("--timeout=120", "--wait=hv", ...this.#addition(port));
  }

  async remove(port: PlannedPort): Promise<void> {
    await this.#nbctl("--timeout=120", "--wait=hv", "lsp-del", ifaceId(port));
  }

  async addRule(group: string, rule: PlannedRule): Promise<void> {
    const words = ["acl-add", groupOf(group), "to-lport", "1002", matchOf(group, rule), "allow-related"];
    await this.#nbctl("--timeout=900", "--wait=hv", ...words);
  }

  deaths(): readonly string[] {
    return [...this.hosts.flatMap((host) => host.deaths), ...this.#daemons.flatMap((each) => each.death ?? [])];
  }

  async end(): Promise<void> {
    this.#control?.close();
    if (this.#nb !== "") {
      const pid = await readFile(this.#at("nbctl.pid"), "utf8").catch(() => "");
      // One that waits for what will never be does not hear us.
      await run(["ovn-appctl", "-T", "2", "-t", this.#nb, "exit"], this.#env).catch(() => process.kill(Number(pid)));
    }
    for (const daemon of this.#daemons.toReversed()) await daemon.end();
    for (const host of this.hosts) await host.end();
    await this.ground?.end();
  }
}
