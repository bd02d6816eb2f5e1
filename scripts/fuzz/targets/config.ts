/** Configuration: a YAML file, the environment and flags of any text (YAML 1.2; base's own rules of precedence). */
import { hold, type Subject, type Target, words } from "../target.ts";

export const config: Target = {
  name: "config",
  about: "configuration from a YAML text, an environment and flags",
  code: ["/packages/base/src/config"],
  shape: "lines",
  maxLength: 2048,
  batch: 8,
  testRuns: 80,
  load,
};

async function load(): Promise<Subject> {
  const { loadConfig, isError } = await import("@selvage/base");
  const { Type } = await import("typebox");
  const schema = Type.Object({
    name: Type.String({ minLength: 1, default: "selvage" }),
    port: Type.Integer({ minimum: 0, maximum: 65_535, default: 9_696 }),
    debug: Type.Boolean({ default: false }),
    ratio: Type.Optional(Type.Number()),
    listen: Type.Object({ host: Type.String({ default: "127.0.0.1" }), tls: Type.Optional(Type.Boolean()) }),
    hosts: Type.Array(Type.Object({ name: Type.String(), weight: Type.Integer({ default: 1 }) }), { default: [] }),
    labels: Type.Record(Type.String(), Type.String(), { default: {} }),
    mode: Type.Union([Type.Literal("a"), Type.Literal("b")], { default: "a" }),
  });
  return {
    seeds: words(
      "name: x\nport: 5\ndebug: yes\nlisten:\n  host: ::1\n  tls: true\n",
      "hosts:\n  - name: a\n    weight: 2\n  - {name: b}\nlabels: {a: b}\nmode: b\n",
      "a: &a [1, 2]\nb: *a\nhosts: *a\n",
      "base: &b {name: x}\n<<: *b\n? [1]\n: 2\n",
      "name: !!str 5\nport: 0x10\nratio: .inf\n--- \n...\n",
      "%YAML 1.2\n---\nname: |\n  text\n'port': \"7\"\n",
      'flags {"port":"5","name":7,"listen-host":"h","x":null}\nname: y',
      'env {"SELVAGE_PORT":"5","SELVAGE_LISTEN_TLS":"true","SELVAGE_HOSTS":"[]","SELVAGE_PROT":"1"}\nname: y',
    ),
    dictionary: words(
      ...["name", "port", "debug", "ratio", "listen", "host", "hosts", "weight", "labels", "mode", "__proto__", "<<"],
      ...[
        "&a ",
        "*a",
        "!!binary ",
        "!!int ",
        "!!js ",
        "- ",
        ": ",
        "? ",
        "{",
        "}",
        "[",
        "]",
        "|",
        ">",
        "%",
        "\t",
        "#",
        "\u2028",
      ],
      ...["SELVAGE_LISTEN_HOST", "SELVAGE_LABELS", "SELVAGE___PROTO__", "null", "~", ".nan", "1e400", "0o17"],
    ),
    async run(input) {
      const lines = new TextDecoder().decode(input).split("\n");
      const named = (word: string): Readonly<Record<string, unknown>> =>
        objectOf(lines.find((line) => line.startsWith(`${word} {`))?.slice(word.length));
      const text = lines.filter((line) => !/^(env|flags) \{/.test(line)).join("\n");
      const env = Object.fromEntries(
        Object.entries(named("env")).map(([name, value]) => [name, String(JSON.stringify(value))]),
      );
      try {
        const { value, origins } = await loadConfig(schema, {
          file: { path: "f.yaml", text },
          env,
          flags: named("flags"),
        });
        hold(
          Number.isInteger(value.port) && typeof value.name === "string" && Array.isArray(value.hosts),
          "a configuration is of its type",
        );
        hold(origins.has("port"), "a setting has an origin");
      } catch (error) {
        if (!isError(error, "ConfigInvalid")) throw error;
        hold(error.message.length < 100_000, "what is wrong can be read");
      }
    },
  };
}

function objectOf(text: string | undefined): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
