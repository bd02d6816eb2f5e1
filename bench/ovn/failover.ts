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
  #speaker = 0;
  #probe: SilenceProbe | undefined;

  constructor(stage: Stage) {
    this.stage = stage;
  }

  async open(stack: AsyncDisposableStack, betweenSigns: number | undefined): Promise<void> {
    const { stage } = this;
    await stage.open(planOf(betweenSigns));
    stage.start(stage.ground.namespace.within(process.execPath, echo, farAddress(0), String(port)));
    this.#speaker = await stage.ground.ask(outerAddress, limit);
    const other = ports.find(({ host }) => host !== this.#speaker);
    const { namespace } = stage.guest(other?.number ?? 0);
    this.#probe = stack.use(new SilenceProbe(namespace, farAddress(0), port));
    await this.#untilCalm();
  }

  /** Until it has been answered without a pause; gives the longest silence until then. */
  async #untilCalm(): Promise<number> {
    const probe = this.#probe;
    if (probe === undefined) throw new Error("it was not opened");
    const { name } = this.stage.side;
    let longest = 0;
    let since = performance.now();
    await until(
      `${name}: answers`,
      limit,
      async () => {
        const seen = await probe.ask();
        if (seen.longest > longest) longest = seen.longest;
        if (seen.longest > silent || seen.answers === 0) since = performance.now();
        return performance.now() - since > calm ? true : undefined;
      },
      50,
    );
    return longest;
  }

  async measure(): Promise<void> {
    const { ground, side } = this.stage;
    await until(`${side.name}: the first host speaks again`, limit, async () =>
      (await ground.ask(outerAddress, limit)) === this.#speaker ? true : undefined,
    );
    await ground.cut(this.#speaker);
    const lost = await this.#untilCalm();
    await ground.join(this.#speaker);
    this.losses.push({ lost, back: await this.#untilCalm() });
  }

  tell(report: Report, name: string, aim?: Figure["aim"]): void {
    const { losses } = this;
    const worst = (all: readonly number[]): number => percentile(all, 1);
    const [lost, back] = [losses.map((one) => one.lost), losses.map((one) => one.back)];
    report.add({
      name: `${name}: longest silence when the host that speaks for the router is lost, worst of ${losses.length}`,
      ...{ value: worst(lost), unit: "ms" },
      ...(aim === undefined ? {} : { aim }),
      beside: spread(lost),
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
