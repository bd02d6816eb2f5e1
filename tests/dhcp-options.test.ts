/** A port's own DHCP options on a running fabric with a real switch: real clients are told them by DHCP and DHCPv6, a change with their next question. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { whyNoLab } from "@selvage/lab/testing";
import { Fabric, type Guest } from "./support/guests.ts";

const skip = (await whyNoLab()) ?? false;

let fabric: Fabric;
let plain: Guest;
let own: Guest;

const option = (opt_name: string, opt_value: string | null, ip_version: 4 | 6 = 4) => ({
  opt_name,
  opt_value,
  ip_version,
});

/** Lets a client ask, as that of a machine which has just come up, and gives what its script was told. */
async function asked(guest: Guest, version: 4 | 6): Promise<string> {
  const files = [
    "-lf",
    `/run/${guest.name}.leases`,
    "-pf",
    "/run/asked.pid",
    "-cf",
    "/dev/null",
    "-sf",
    "/usr/bin/env",
  ];
  await using client = fabric.start(guest, "dhclient", `-${version}`, "-d", ...files, "eth0");
  await client.says(
    version === 4 ? /reason=(BOUND|RENEW|REBOOT)\n[\s\S]*PATH=/ : /reason=(BOUND|RENEW)6\n[\s\S]*PATH=/,
  );
  return client.said;
}

describe("DHCP options of ports", { skip }, () => {
  before(async () => {
    fabric = await Fabric.up("dhcp-options", 1);
    try {
      const network_id = await fabric.make("networks", { name: "loaded" });
      await fabric.make("subnets", { network_id, ip_version: 4, cidr: "10.9.0.0/24" });
      const mode = "dhcpv6-stateful";
      await fabric.make("subnets", { network_id, ip_version: 6, cidr: "fd09::/64", ipv6_address_mode: mode });
      plain = await fabric.guest("plain", "h1", { network_id });
      const extra_dhcp_opts = [
        option("server-ip-address", "203.0.113.5"),
        option("tftp-server", "boot.example"),
        option("bootfile-name", "pxelinux.0"),
        option("mtu", "1300"),
        option("router", ""),
        option("dns-server", "203.0.113.53"),
        option("bootfile-url", "tftp://[2001:db8:ff::5]/x.efi", 6),
        option("dns-server", "2001:db8::54", 6),
      ];
      own = await fabric.guest("own", "h1", { network_id, extra_dhcp_opts });
    } catch (cause) {
      await fabric[Symbol.asyncDispose]();
      throw cause;
    }
  });

  after(async () => {
    await fabric?.[Symbol.asyncDispose]();
  });

  test("a machine's own client takes them for its subnet's, and another machine's is told the subnet's", async () => {
    const state = async (guest: Guest) => {
      const { said: link } = await fabric.run(guest, "cat", "/sys/class/net/eth0/mtu");
      const { said: names } = await fabric.run(guest, "cat", "/etc/resolv.conf");
      const { said: routes } = await fabric.run(guest, "ip", "-4", "route", "show", "default");
      return { mtu: Number(link), names: names.match(/(?<=nameserver )\S+/g), gateway: routes.split(" ")[2] };
    };
    const [one, other] = [await state(own), await state(plain)];
    assert.deepEqual([one.mtu, one.gateway], [1300, undefined]);
    assert.deepEqual(one.names, ["203.0.113.53", "2001:db8::54"]);
    assert.ok(other.mtu > 1300, `${other.mtu}`);
    assert.deepEqual([other.gateway, other.names?.[0]], ["10.9.0.1", "169.254.169.252"]);
  });

  test("a loader is told its server and its file, by header, by options and by DHCPv6", async () => {
    const four = await asked(own, 4);
    for (const [name, value] of [
      ["filename", "pxelinux.0"],
      ["server_name", "boot.example"],
      ["next_server", "203.0.113.5"],
      ["tftp_server_name", "boot.example"],
      ["bootfile_name", "pxelinux.0"],
    ])
      assert.match(four, new RegExp(`^new_${name}=${value}$`, "m"));
    const six = await asked(own, 6);
    assert.match(six, /^new_dhcp6_bootfile_url=tftp:\/\/\[2001:db8:ff::5\]\/x\.efi$/m);
    assert.match(six, /^new_dhcp6_name_servers=2001:db8::54$/m);
    const others = `${await asked(plain, 4)}${await asked(plain, 6)}`;
    assert.doesNotMatch(others, /pxelinux|boot\.example|203\.0\.113|x\.efi/);
  });

  test("what is changed is told from then on, and what is taken away is not", async () => {
    const extra_dhcp_opts = [option("bootfile-name", "other.0"), option("tftp-server", null)];
    await fabric.change("ports", own.id, { extra_dhcp_opts });
    const said = await asked(own, 4);
    assert.match(said, /^new_bootfile_name=other\.0$/m);
    assert.doesNotMatch(said, /boot\.example/);
    assert.match(said, /^new_next_server=203\.0\.113\.5$/m);
  });
});
