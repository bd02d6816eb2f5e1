/** Alarms and dashboard ask for metrics that exist, with labels that they bear; every alarm is explained in docs/operating.md. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { novaEvents, relay } from "@selvage/server";
import { startTestServer } from "@selvage/server/testing";
import { parse } from "yaml";

const root = join(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const rulesPath = "packaging/prometheus/selvage.rules.yml";

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string };
}
const { groups } = parse(read(rulesPath)) as {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[];
};
const rules = groups.flatMap((group) => group.rules);

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number };
  readonly targets?: readonly { readonly expr: string }[];
}
const dashboard = JSON.parse(read("packaging/grafana/selvage.json")) as { readonly panels: readonly Panel[] };
const expressions = [
  ...rules.map(({ alert, expr }) => [alert, expr] as const),
  ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)),
];

/** Makers of metrics in the sources: name → what stands behind it up to the end of its declaration. */
function declared(): ReadonlyMap<string, string> {
  const maker = /\b(?:counter|gauge|histogram)(?:<[^(]*>)?\(\s*(?:\{\s*name:\s*)?"([a-z][a-z0-9_]*)"([^;]*);/g;
  const found = new Map<string, string>();
  for (const path of globSync("packages/*/src/**/*.ts", { cwd: root })) {
    if (path.endsWith(".test.ts") || path.includes("/testing/")) continue;
    for (const [, name = "", rest = ""] of read(path).matchAll(maker)) found.set(`selvage_${name}`, rest);
  }
  return found;
}
const metrics = declared();

/** The names that an expression asks for, without what Prometheus makes of a histogram. */
const namesIn = (expr: string): readonly string[] =>
  [...expr.matchAll(/\bselvage_[a-z0-9_]+/g)].map(([name]) =>
    metrics.has(name) ? name : name.replace(/_(bucket|sum|count)$/, ""),
  );

test("what the sources declare is what a running server shows", async () => {
  const nova = { authUrl: "http://127.0.0.1:9/v3", endpoint: "", username: "", passwordFile: "/dev/null", project: "" };
  const more = { userDomain: "", projectDomain: "", region: "", gather: 1, batch: 1, timeout: 60_000 };
  await using server = await startTestServer({ plugins: [relay(), novaEvents({ ...nova, ...more })] });
  const shown = [...(await server.running.core.metrics.text()).matchAll(/^# TYPE (\S+)/gm)].map(
    ([, name = ""]) => name,
  );
  assert.ok(shown.length > 15);
  assert.deepEqual(
    shown.filter((name) => !metrics.has(name)),
    [],
  );
});

test("alarms and panels ask for metrics that exist", () => {
  for (const [where, expr] of expressions) {
    const names = namesIn(expr);
    assert.ok(names.length > 0 || /^up\{job="selvage-(server|agent)"\} == 0$/.test(expr), `${where}: ${expr}`);
    for (const name of names) assert.ok(metrics.has(name), `${where} asks for ${name}, which nothing counts`);
  }
});

test("they ask for labels that the metrics bear", () => {
  const always = new Set(["job", "instance", "host", "le"]);
  for (const [where, expr] of expressions) {
    const asked = [
      ...[...expr.matchAll(/\{([^}]*)\}/g)].flatMap(([, inner = ""]) => [...inner.matchAll(/(\w+)\s*[=!]~?/g)]),
      ...[...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, inner = ""]) => [...inner.matchAll(/(\w+)/g)]),
    ].map(([, label = ""]) => label);
    const declaration = namesIn(expr)
      .map((name) => metrics.get(name))
      .join();
    for (const label of asked)
      assert.ok(always.has(label) || declaration.includes(`"${label}"`), `${where} asks for the label ${label}`);
  }
});

test("every metric is on the dashboard", () => {
  const shown = new Set(dashboard.panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => namesIn(expr))));
  assert.deepEqual(
    [...metrics.keys()].filter((name) => !shown.has(name)),
    [],
  );
});

test("every alarm has a severity, a sentence, and a place in docs/operating.md", () => {
  const page = read("docs/operating.md");
  assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
  for (const { alert, labels, annotations } of rules) {
    assert.match(labels.severity, /^(critical|warning)$/, alert);
    assert.notEqual(annotations.summary, "", alert);
    assert.ok(page.includes(`\`${alert}\``), `${alert} is not explained`);
  }
  const explained = [...page.matchAll(/`(Selvage[A-Za-z]+)`/g)].map(([, name = ""]) => name);
  assert.deepEqual(
    explained.filter((name) => !rules.some(({ alert }) => alert === name)),
    [],
  );
});

test("panels stand beside each other, none on another", () => {
  const { panels } = dashboard;
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  for (const a of panels) {
    assert.ok(a.gridPos.x + a.gridPos.w <= 24, a.title);
    for (const b of panels) {
      if (a.id >= b.id) continue;
      const [p, q] = [a.gridPos, b.gridPos];
      const apart = p.x + p.w <= q.x || q.x + q.w <= p.x || p.y + p.h <= q.y || q.y + q.h <= p.y;
      assert.ok(apart, `${a.title} and ${b.title}`);
    }
  }
});

test("Prometheus's own tool finds nothing wrong, where it is installed", (t) => {
  const { status, stdout, stderr, error } = spawnSync("promtool", ["check", "rules", join(root, rulesPath)], {
    encoding: "utf8",
  });
  if (error !== undefined) {
    t.diagnostic("promtool is not installed: the structure alone was checked");
    return;
  }
  assert.equal(status, 0, stdout + stderr);
});
