/** How long nothing comes back to machines of other hosts when the host that speaks for their router's address is lost: both its cables cut at once, again and again. */
import { fileURLToPath } from "node:url";
import { until } from "../bench.ts";
import { type Figure, percentile, type Report, spread } from "../figures.ts";
import { farAddress } from "./ground.ts";
import { inTurn } from "./load.ts";
import { outerAddress, type Plan, type PlannedPort } from "./plan.ts";
import type { Side } from "./side.ts";
import { SilenceProbe } from "./silence.ts";
import { Stage } from "./stage.ts";

const echo = fileURLToPath(new URL("echo.ts", import.meta.url));
const port = 7;
/** Of one loss, all in all, ms. */
const limit = 60_000;
/** Answered for so long it is over, ms. */
const calm = 1_500;
/** Shorter ones are the machine's own. */
const silent = 100;

const ports: readonly PlannedPort[] = [1, 2, 3].map((host) => ({ number: host, host, network: 1 }));
const planOf = (betweenSigns: number | undefined): Plan => ({
  ...{ hosts: 3, networks: 1, ports, groups: [] },
  outside: { floating: [], ...(betweenSigns === undefined ? {} : { betweenSigns }) },
});

interface Loss {
  readonly lost: number;
  /** The longest silence when it comes back. */
  readonly back: number;
}

class Ordeal {
  readonly stage: Stage;
  readonly losses: Loss[] = [];
  /** Of each host. */
  readonly #probes = new Map<number, SilenceProbe>();
  readonly #lost = new Set<number>();

  constructor(stage: Stage) {
    this.stage = stage;
  }

  async open(stack: AsyncDisposableStack, betweenSigns: number | undefined): Promise<void> {
    const { stage } = this;
    await stage.open(planOf(betweenSigns));
    stage.start(stage.ground.namespace.within(process.execPath, echo, farAddress(0), String(port)));
    await stage.ground.ask(outerAddress, limit);
    for (const { number, host } of ports)
      this.#probes.set(host, stack.use(new SilenceProbe(stage.guest(number).namespace, farAddress(0), port)));
    await this.#untilCalm(0, "all");
  }

  /** Until machines of all hosts are answered without a pause, while one is lost of all others; gives the longest silence until then of any that is on another host. */
  async #untilCalm(speaker: number, hosts: "all" | "others"): Promise<number> {
    const { name } = this.stage.side;
    let longest = 0;
    let since = performance.now();
    await until(
      `${name}: answers`,
      limit,
      async () => {
        for (const [host, probe] of this.#probes) {
          const seen = await probe.ask();
          if (host !== speaker) longest = Math.max(longest, seen.longest);
          else if (hosts === "others") continue;
          if (seen.longest > silent || seen.answers === 0) since = performance.now();
        }
        return performance.now() - since > calm ? true : undefined;
      },
      50,
    );
    return longest;
  }

  /** Loses the host that the machine outside sends to, and takes it back. */
  async measure(): Promise<void> {
    const { ground, side } = this.stage;
    const speaker = await until(`${side.name}: who speaks`, limit, () => ground.holderOf(outerAddress));
    this.#lost.add(speaker);
    await ground.cut(speaker);
    const lost = await this.#untilCalm(speaker, "others");
    await ground.join(speaker);
    this.losses.push({ lost, back: await this.#untilCalm(speaker, "all") });
  }

  tell(report: Report, name: string, aim?: Figure["aim"]): void {
    const { losses } = this;
    const worst = (all: readonly number[]): number => percentile(all, 1);
    const [lost, back] = [losses.map((one) => one.lost), losses.map((one) => one.back)];
    report.add({
      name: `${name}: longest silence when the host that speaks for the router is lost, worst of ${losses.length}`,
      ...{ value: worst(lost), unit: "ms" },
      ...(aim === undefined ? {} : { aim }),
      beside: `${spread(lost)}; hosts lost: ${this.#lost.size}`,
    });
    report.add({ name: `${name}: … when it comes back, worst`, value: worst(back), unit: "ms", beside: spread(back) });
  }
}

/** Loses the hosts of each side in turn, so often; `betweenSigns` as the plan has it. */
export async function failover(
  report: Report,
  sides: readonly Side[],
  times: number,
  betweenSigns: number | undefined,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const ordeals = sides.map((side) => new Ordeal(stack.use(new Stage(side))));
  for (const ordeal of ordeals) await ordeal.open(stack, betweenSigns);
  for (let at = 0; at < times; at += 1) {
    report.step(`loss ${at + 1} of ${times}`);
    for (const ordeal of inTurn(ordeals, at)) {
      await ordeal.measure();
      const died = ordeal.stage.side.deaths();
      if (died.length > 0) throw new Error(died.join("; "));
    }
  }
  const signs = betweenSigns === undefined ? "signs of life as it comes" : `signs of life each ${betweenSigns} ms`;
  for (const ordeal of ordeals) {
    const { name } = ordeal.stage.side;
    ordeal.tell(report, `${name}, ${signs}`, name === "Selvage" ? { is: "<", value: 1_000 } : undefined);
  }
}
