/** DHCP options of a port: their names, what their values mean, and what a port has after requests. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { dhcpOptionOf, dhcpOptions, type ExtraDhcpOption, mergedDhcpOptions, mostDhcpOptions } from "./dhcp-options.ts";
import { InvalidValue } from "./types.ts";

const option = (opt_name: string, opt_value: string, ip_version: 4 | 6 = 4): ExtraDhcpOption => ({
  opt_name,
  opt_value,
  ip_version,
});
const refused = (what: ExtraDhcpOption, reason: RegExp): void =>
  assert.throws(
    () => dhcpOptionOf(what),
    (error) => error instanceof InvalidValue && reason.test(error.reason),
  );

test("a value is read by the form of its option, by name and by number alike", () => {
  const servers = { form: "addresses", addresses: ["192.0.2.1", "192.0.2.2"] };
  for (const name of ["ntp-server", "42"])
    assert.deepEqual(dhcpOptionOf(option(name, "192.0.2.1, 192.0.2.2")), { code: 42, value: servers });
  assert.deepEqual(dhcpOptionOf(option("mtu", "1400")), { code: 26, value: { form: "number", width: 2, value: 1400 } });
  assert.deepEqual(dhcpOptionOf(option("ip-forward-enable", "false")).value, { form: "number", width: 1, value: 0 });
  assert.deepEqual(dhcpOptionOf(option("bootfile-name", "pxe.0")), {
    code: 67,
    value: { form: "text", text: "pxe.0" },
  });
  assert.deepEqual(dhcpOptionOf(option("domain-search", "a.example.,b")).value, {
    form: "names",
    names: ["a.example", "b"],
  });
  const routes = [
    { destination: "10.1.0.0/16", gateway: "10.0.0.1" },
    { destination: "0.0.0.0/0", gateway: "10.0.0.2" },
  ];
  for (const said of ["10.1.0.9/16,10.0.0.1,0.0.0.0/0,10.0.0.2", "{10.1.0.0/16,10.0.0.1, 0.0.0.0/0,10.0.0.2}"])
    assert.deepEqual(dhcpOptionOf(option("classless-static-route", said)).value, { form: "routes", routes });
  for (const name of ["router", "3", "classless-static-route"])
    assert.deepEqual(dhcpOptionOf(option(name, "")).value, { form: "none" });
  assert.deepEqual(dhcpOptionOf(option("bootfile-url", "tftp://[fd00::1]/x", 6)).code, 59);
  assert.deepEqual(dhcpOptionOf(option("bootfile-param", "a,b", 6)).value, { form: "texts", texts: ["a", "b"] });
});

test("a number without a form is guessed at as dnsmasq does", () => {
  const values = ["0a:0b:ff", "192.0.2.9", "255", "256", "65536", "words"].map(
    (said) => dhcpOptionOf(option("224", said)).value,
  );
  assert.deepEqual(values, [
    { form: "bytes", bytes: Uint8Array.of(10, 11, 255) },
    { form: "addresses", addresses: ["192.0.2.9"] },
    { form: "number", width: 1, value: 255 },
    { form: "number", width: 2, value: 256 },
    { form: "number", width: 4, value: 65_536 },
    { form: "text", text: "words" },
  ]);
});

test("what is no option, what a server says by itself and a value of another form are refused", () => {
  for (const name of ["nonsense", "__proto__", "constructor", "0", "53", "54", "82", "256", "bootfile-url", "-1"])
    refused(option(name, "1"), /is no option of DHCPv4/);
  for (const name of ["1", "2", "3", "router", "65536"]) refused(option(name, "1", 6), /is no option of DHCPv6/);
  refused(option("bootfile-url", "x"), /; DHCPv6 has it \(ip_version 6\)$/);
  refused(option("mtu", "1400", 6), /; DHCPv4 has it \(ip_version 4\)$/);
  refused(option("ntp-server", "here"), /is not of IP addresses/);
  refused(option("server-ip-address", "192.0.2.1,192.0.2.2"), /is not of IP addresses/);
  refused(option("ip-forward-enable", "2"), /from 0 to 1$/);
  refused(option("default-ttl", "256"), /from 0 to 255$/);
  refused(option("mtu", "1e3"), /is not a number/);
  refused(option("domain-search", "a..b"), /is not of domain names/);
  refused(option("nis-domain", "a,b", 6), /is not of domain names/);
  refused(option("classless-static-route", "10.0.0.0/8"), /each with its gateway/);
  refused(option("classless-static-route", "fd00::/64,fd00::1"), /each with its gateway/);
  refused(option("224", " "), /is empty/);
});

test("a list of options is read whole, each name once a version, in one line each", () => {
  const { parse } = dhcpOptions();
  const asked = [{ opt_name: "66", opt_value: "t" }];
  assert.deepEqual(parse(asked), [{ opt_name: "66", opt_value: "t", ip_version: 4 }]);
  assert.deepEqual(parse(null), []);
  const both = [option("dns-server", "192.0.2.1"), option("dns-server", "fd00::1", 6)];
  assert.deepEqual(parse(both), both);
  for (const wrong of [
    [...asked, { opt_name: "66", opt_value: "u" }],
    [{ opt_name: "66", opt_value: "t\nu" }],
    [{ opt_name: "66" }],
    [{ opt_name: "66", opt_value: "t", ip_version: 5 }],
    [{ opt_name: "66", opt_value: "t", more: 1 }],
    [option("dns-server", "fd00::1")],
    [option("dns-server", "192.0.2.1,fd00::1")],
    [option("dns-server", "192.0.2.1", 6)],
    [option("224", "fd00::1")],
    [option("56", "192.0.2.1", 6)],
    Array.from({ length: mostDhcpOptions + 1 }, (_, at) => ({ opt_name: String(150 + at), opt_value: "t" })),
  ])
    assert.throws(() => parse(wrong), InvalidValue, JSON.stringify(wrong));
});

test("a request changes the options that it names, and null takes one away", () => {
  const before = [option("66", "a"), option("67", "b"), option("24", "c.example", 6)];
  const after = mergedDhcpOptions(before, [
    option("66", "z"),
    { opt_name: "67", opt_value: null, ip_version: 4 },
    { opt_name: "68", opt_value: null, ip_version: 4 },
    option("24", "192"),
  ]);
  assert.deepEqual(after, [option("66", "z"), option("24", "c.example", 6), option("24", "192")]);
  const one = mergedDhcpOptions(after, [{ opt_name: "24", opt_value: null, ip_version: 6 }]);
  assert.deepEqual(one, [option("66", "z"), option("24", "192")], "that of the other version stays");
  const many = Array.from({ length: mostDhcpOptions }, (_, at) => option(String(150 + at), "t"));
  assert.throws(() => mergedDhcpOptions(many, [option("66", "z")]), InvalidValue);
});
