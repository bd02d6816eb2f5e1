/** Texts of addresses, prefixes and MACs (RFC 4291, 4632, 5952), and every declared field's reading of JSON and of query strings. */
import type { Field } from "@selvage/model";
import { hold, type Subject, type Target, words } from "../target.ts";

export const addresses: Target = {
  name: "addresses",
  about: "IP, CIDR and MAC texts",
  code: ["cidr", "error", "ip", "mac"].map((file) => `/packages/model/src/address/${file}.ts`),
  shape: "bytes",
  maxLength: 256,
  batch: 64,
  testRuns: 4_000,
  load,
};

export const fields: Target = {
  name: "fields",
  about: "every declared field of every resource, read from JSON and from a query string",
  code: ["/packages/model/src/types.ts", "/packages/model/src/resources/", "/packages/model/src/fields.ts"],
  shape: "lines",
  maxLength: 8192,
  batch: 64,
  testRuns: 1_500,
  load: loadFields,
};

const texts = [
  ...["10.0.0.1", "0.0.0.0", "255.255.255.255", "::", "::1", "fe80::1", "2001:db8::ffff:0:1", "::ffff:10.0.0.1"],
  ...[
    "10.0.0.0/24",
    "0.0.0.0/0",
    "::/0",
    "fd00:1::/64",
    "10.0.0.7/24",
    "10.0.0.0/32",
    "fd00::/128",
    "10.0.0.0/255.0.0.0",
  ],
  ...["fa:16:3e:00:00:01", "FA-16-3E-00-00-01", "fa16.3e00.0001", "ff:ff:ff:ff:ff:ff", "fa163e000001"],
];

async function load(): Promise<Subject> {
  const lib = await import("@selvage/model");
  const throwing = (reader: (text: string) => unknown, text: string): unknown => {
    try {
      return reader(text);
    } catch (error) {
      if (error instanceof lib.AddressError) return undefined;
      throw error;
    }
  };
  return {
    seeds: texts.flatMap((text) => words(text)),
    dictionary: words("::", "0", "ffff", ".", ":", "/", "/32", "/128", "255", "-", "%eth0", "١", "e"),
    run(input) {
      const text = new TextDecoder().decode(input);
      const ip = lib.parseIp(text);
      hold((throwing(lib.ipOf, text) === undefined) === (ip === undefined), "ipOf and parseIp agree");
      if (ip !== undefined) {
        const canonical = lib.textOfIp(ip);
        const again = lib.parseIp(canonical);
        hold(again !== undefined && lib.compareIp(again, ip) === 0, "an address is its text");
        hold(
          lib.canonicalIp(text) === canonical && lib.canonicalIp(canonical) === canonical,
          "a canonical text is itself",
        );
        hold(lib.compareIp(lib.ipOfBytes(lib.bytesOfIp(ip)), ip) === 0, "an address is its bytes");
        hold(lib.scopeOfIp(ip) !== undefined, "an address has a scope");
      }
      const cidr = lib.parseCidr(text);
      hold((throwing(lib.cidrOf, text) === undefined) === (cidr === undefined), "cidrOf and parseCidr agree");
      const loose = lib.parseCidrLoose(text);
      hold(cidr === undefined || loose !== undefined, "what is strictly right is loosely right");
      if (loose !== undefined) {
        const canonical = lib.textOfCidr(loose);
        hold(lib.canonicalCidr(canonical) === canonical, "a canonical prefix is itself");
        hold(
          lib.cidrContains(loose, lib.firstIpOf(loose)) && lib.cidrContains(loose, lib.lastIpOf(loose)),
          "a prefix holds its ends",
        );
        hold(lib.cidrsOfRange(lib.firstIpOf(loose), lib.lastIpOf(loose)).length === 1, "a prefix is one range");
        hold(
          lib.subtractCidr(lib.anyCidr(lib.versionOf(lib.firstIpOf(loose))), loose).length <= 128,
          "what is left is few prefixes",
        );
      }
      const mac = lib.parseMac(text);
      hold((throwing(lib.macOf, text) === undefined) === (mac === undefined), "macOf and parseMac agree");
      const looseMac = lib.parseMacLoose(text);
      hold(mac === undefined || looseMac === mac, "what is strictly right is loosely the same");
      if (looseMac !== undefined) hold(lib.parseMac(lib.textOfMac(looseMac)) === looseMac, "a MAC is its text");
    },
  };
}

async function loadFields(): Promise<Subject> {
  const { InvalidValue, resources } = await import("@selvage/model");
  const types = resources.flatMap((resource) => Object.values<Field>(resource.fields).map(({ type }) => type));
  const refusing = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      if (error instanceof InvalidValue) return undefined;
      throw error;
    }
  };
  const values = [
    ...texts,
    { fixed_ips: [{ subnet_id: "36bef046-7da7-43a5-905a-c17899216fcb", ip_address: "10.0.0.5" }] },
    [{ subnet_id: "36bef046-7da7-43a5-905a-c17899216fcb", ip_address: "10.0.0.5" }],
    [{ start: "10.0.0.2", end: "10.0.0.9" }],
    [{ destination: "10.1.0.0/16", nexthop: "10.0.0.1" }],
    [{ ip_address: "10.0.0.9", mac_address: "fa:16:3e:00:00:01" }],
    ["10.0.0.53", "fd00::53"],
    { key: "value" },
    [],
    null,
    true,
    0,
    1500,
    "ACTIVE",
    "36bef046-7da7-43a5-905a-c17899216fcb",
    "2026-11-21T00:00:00Z",
  ];
  return {
    // In a list, as a JSON value alone is not changed as a tree.
    seeds: values.flatMap((value) => words(JSON.stringify([value]))),
    dictionary: words(
      "subnet_id",
      "ip_address",
      "start",
      "end",
      "destination",
      "nexthop",
      "true",
      "None",
      "__proto__",
      ...texts,
    ),
    run(input) {
      const text = new TextDecoder().decode(input);
      let value: unknown = text;
      try {
        const parsed: unknown = JSON.parse(text);
        value = Array.isArray(parsed) ? parsed[0] : parsed;
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
      }
      for (const type of types) {
        const parsed = refusing(() => type.parse(value));
        if (parsed !== undefined) {
          const canonical = JSON.stringify(parsed);
          hold(canonical !== undefined, "a value can be stored");
          hold(JSON.stringify(type.parse(JSON.parse(canonical))) === canonical, "a value read is a value");
        }
        if (type.parseQuery !== undefined) refusing(() => type.parseQuery?.(text));
      }
    },
  };
}
