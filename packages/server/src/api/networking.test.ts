import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";

for (const name of ["memory", "sqlite"] as const) {
  let server: TestServer;
  let red: TestProject;
  let blue: TestProject;
  let host: string;

  before(async () => {
    server = await startTestServer({ on: name });
    [red, blue] = await Promise.all([server.project("red"), server.project("blue")]);
    host = await server.host("h1");
  });
  after(() => server[Symbol.asyncDispose]());

  const network = (values: Json = {}, owner = red) => owner.member.create("network", { name: "n", ...values });
  const subnet = (network_id: string, values: Json = {}, owner = red) =>
    owner.member.create("subnet", { network_id, ip_version: 4, cidr: "10.0.0.0/24", ...values });

  test(`${name}: a collection is found with hyphens and with underscores, as clients write it`, async () => {
    for (const path of ["security-groups", "security_groups", "network-segment-ranges", "network_segment_ranges"])
      assert.equal((await server.admin.get(`/v2.0/${path}`)).status, 200, path);
    assert.equal((await server.nobody.get("/v2.0/security_groups")).status, 401);
    assert.equal((await server.admin.get("/v2.0/secu-rity_groups")).status, 404);
  });

  test(`${name}: a port gets one address of each family, and its status is what its host says`, async () => {
    const { id } = await network();
    const v4 = await subnet(id);
    const v6 = await subnet(id, { ip_version: 6, cidr: "fd00::/64" });
    assert.equal(v6.gateway_ip, "fd00::1");
    const port = await red.member.create("port", { network_id: id });
    const fixed = port.fixed_ips as readonly Json[];
    assert.deepEqual(
      fixed.map((each) => each.subnet_id),
      [v4.id, v6.id],
    );
    assert.match(String(fixed[0]?.ip_address), /^10\.0\.0\.\d+$/);
    assert.match(String(fixed[1]?.ip_address), /^fd00::/);
    assert.match(String(port.mac_address), /^fa:16:3e(:[0-9a-f]{2}){3}$/);
    assert.equal(port.status, "DOWN");
    assert.equal("binding:host_id" in port, false, "a member is not told where its port is");
    const bound = (await server.admin.put(`/v2.0/ports/${port.id}`, { port: { "binding:host_id": "h1" } })).body
      .port as Json;
    assert.deepEqual([bound["binding:vif_type"], bound.status], ["ovs", "DOWN"]);
    assert.equal((bound["binding:vif_details"] as Json).bridge_name, "br-int");
    const { hosts } = server.running.core;
    hosts.report(host, { portsUp: [port.id] });
    assert.equal((await red.member.show("port", port.id)).status, "ACTIVE");
    assert.deepEqual(
      (await red.member.list("ports", "status=ACTIVE")).map((each) => each.id),
      [port.id],
    );
    hosts.gone(host);
    assert.equal((await server.admin.show("port", port.id))["binding:vif_type"], "binding_failed");
    hosts.report(host, { portsUp: [] });
    assert.equal((await red.member.show("port", port.id)).status, "DOWN");
    assert.deepEqual(
      ((await red.member.show("network", id)).subnets as string[]).toSorted(),
      [v4.id, v6.id].toSorted(),
    );
  });

  test(`${name}: an IPv6 subnet where the pipeline keeps IPv4 addresses is refused, what lies beside it is not`, async () => {
    const { id } = await network();
    for (const cidr of ["::/96", "::10.0.0.0/120", "::/64", "::/0"]) {
      const answer = await red.member.post("/v2.0/subnets", { subnet: { network_id: id, ip_version: 6, cidr } });
      assert.deepEqual([cidr, answer.status, errorOf(answer).type], [cidr, 400, "BadRequest"]);
      assert.match(errorOf(answer).message, /overlaps ::\/96/);
    }
    assert.equal((await subnet(id, { ip_version: 6, cidr: "0:0:0:0:0:1::/96" })).gateway_ip, "::1:0:1");
    assert.equal((await subnet(id, { ip_version: 4, cidr: "10.77.0.0/24" })).ip_version, 4);
  });

  test(`${name}: addresses: the last one is given, the next is refused, and a freed one is given again`, async () => {
    const { id } = await network();
    await subnet(id, { cidr: "10.1.0.0/29" });
    const ports = await Promise.all(Array.from({ length: 5 }, () => red.member.create("port", { network_id: id })));
    const ips = ports.map((port) => (port.fixed_ips as readonly Json[])[0]?.ip_address);
    assert.deepEqual(ips.toSorted(), ["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6"]);
    const refused = await red.member.post("/v2.0/ports", { port: { network_id: id } });
    assert.deepEqual([refused.status, errorOf(refused).type], [409, "IpAddressGenerationFailure"]);
    await red.member.delete(`/v2.0/ports/${ports[2]?.id}`);
    const again = await red.member.create("port", { network_id: id });
    assert.equal((again.fixed_ips as readonly Json[])[0]?.ip_address, ips[2]);
    await Promise.all([...ports, again].map((port) => red.member.delete(`/v2.0/ports/${port.id}`)));
  });

  test(`${name}: 32 writers at once: no address, key or MAC is given twice, and revisions have no gap`, async () => {
    const { id } = await network();
    await subnet(id, { cidr: "10.2.0.0/24" });
    const { writer } = server.running.core;
    const start = writer.replica.revision;
    const revisions: number[] = [];
    const stop = writer.onCommitted((entry) => revisions.push(entry.revision));
    const ports = await Promise.all(
      Array.from({ length: 32 }, async (_, n) => {
        const made = [];
        for (let i = 0; i < 4; i++) made.push(await red.member.create("port", { network_id: id, name: `w${n}-${i}` }));
        return made;
      }),
    );
    stop();
    const all = ports.flat();
    assert.equal(new Set(all.map((port) => JSON.stringify(port.fixed_ips))).size, 128);
    assert.equal(new Set(all.map((port) => port.mac_address)).size, 128);
    assert.deepEqual(
      revisions,
      Array.from({ length: 128 }, (_, n) => start + n + 1),
    );
    const listed = await red.member.list("ports", `network_id=${id}&fields=id`);
    assert.equal(listed.length, 128);
  });

  test(`${name}: a bulk is all or nothing, one entry, in the order asked for`, async () => {
    const { id } = await network();
    const { id: subnetId } = await subnet(id, { cidr: "10.3.0.0/16" });
    const before = server.running.core.writer.replica.revision;
    const elements = Array.from({ length: 200 }, (_, n) => ({ network_id: id, name: `b${n}` }));
    const made = await red.member.post("/v2.0/ports", { ports: elements });
    assert.equal(made.status, 201);
    assert.deepEqual(
      (made.body.ports as readonly Json[]).map((port) => port.name),
      elements.map((each) => each.name),
    );
    assert.equal(Number(made.headers.get("x-selvage-revision")), before + 1);
    assert.equal(server.running.core.writer.replica.revision, before + 1);
    const clash = { network_id: id, name: "bad", fixed_ips: [{ subnet_id: subnetId, ip_address: "10.3.9.9" }] };
    const refused = await red.member.post("/v2.0/ports", { ports: [clash, clash] });
    assert.deepEqual([refused.status, errorOf(refused).type], [409, "IpAddressAlreadyAllocated"]);
    assert.deepEqual(await red.member.list("ports", "name=bad"), []);
  });

  test(`${name}: fixed_ips: asked for by subnet, by address, by both; kept, added and removed by an update`, async () => {
    const { id } = await network();
    const { id: s1 } = await subnet(id, { cidr: "10.4.0.0/24" });
    const { id: s2 } = await subnet(id, { cidr: "10.5.0.0/24" });
    const port = await red.member.create("port", {
      network_id: id,
      fixed_ips: [{ subnet_id: s2 }, { ip_address: "10.4.0.9" }, { subnet_id: s2, ip_address: "10.5.0.7" }],
    });
    const fixed = port.fixed_ips as readonly { subnet_id: string; ip_address: string }[];
    assert.deepEqual(
      fixed.map((each) => each.subnet_id),
      [s2, s1, s2],
    );
    assert.deepEqual(
      fixed.slice(1).map((each) => each.ip_address),
      ["10.4.0.9", "10.5.0.7"],
    );
    const put = async (fixed_ips: unknown) => red.member.put(`/v2.0/ports/${port.id}`, { port: { fixed_ips } });
    const kept = ((await put([{ subnet_id: s2 }])).body.port as Json).fixed_ips as readonly Json[];
    assert.deepEqual(kept, [fixed[0]]);
    assert.deepEqual(((await put([])).body.port as Json).fixed_ips, []);
    for (const [wanted, status, type] of [
      [[{ ip_address: "10.9.0.1" }], 400, "InvalidIpForNetwork"],
      [[{ subnet_id: s1, ip_address: "10.5.0.1" }], 400, "InvalidIpForSubnet"],
      [[{ subnet_id: s1, ip_address: "10.4.0.255" }], 400, "InvalidIpForSubnet"],
      [[{ subnet_id: s1, ip_address: "10.4.0.0" }], 400, "InvalidIpForSubnet"],
      [[{}], 400, "InvalidInput"],
      [[{ subnet_id: id }], 404, "SubnetNotFound"],
      [[{ subnet_id: s1, ip_address: "10.4.0.8" }, { ip_address: "10.4.0.8" }], 409, "IpAddressAlreadyAllocated"],
      [[{ ip_address: "010.4.0.8" }], 400, "HTTPBadRequest"],
    ] as const) {
      const answer = await put(wanted);
      assert.deepEqual([answer.status, errorOf(answer).type], [status, type], JSON.stringify(wanted));
    }
  });

  test(`${name}: subnets: what is refused, and what DHCP, gateway and pools may be`, async () => {
    const { id } = await network();
    await subnet(id, { cidr: "10.6.0.0/24" });
    for (const [values, status, type] of [
      [{ cidr: "10.6.0.0/25" }, 400, "InvalidInput"],
      [{ cidr: "10.7.0.0/31" }, 400, "InvalidInput"],
      [{ cidr: "10.7.0.0/24", gateway_ip: "10.7.0.255" }, 400, "InvalidInput"],
      [{ cidr: "10.7.0.0/24", gateway_ip: "fd00::1" }, 400, "InvalidInput"],
      [{ cidr: "224.0.0.0/24" }, 400, "InvalidInput"],
      [
        { cidr: "10.7.0.0/24", allocation_pools: [{ start: "10.7.0.9", end: "10.7.0.5" }] },
        400,
        "InvalidAllocationPool",
      ],
      [
        { cidr: "10.7.0.0/24", allocation_pools: [{ start: "10.7.0.9", end: "10.7.0.255" }] },
        400,
        "OutOfBoundsAllocationPool",
      ],
      [{ cidr: "10.7.0.0/24", host_routes: [{ destination: "fd00::/64", nexthop: "fd00::1" }] }, 400, "InvalidInput"],
      [{}, 400, "BadRequest"],
    ] as const) {
      const answer = await red.member.post("/v2.0/subnets", { subnet: { network_id: id, ip_version: 4, ...values } });
      assert.deepEqual([answer.status, errorOf(answer).type], [status, type], JSON.stringify(values));
    }
    const small = await subnet(id, { cidr: "10.8.0.0/31", enable_dhcp: false });
    assert.deepEqual(
      [small.gateway_ip, small.allocation_pools],
      ["10.8.0.0", [{ start: "10.8.0.1", end: "10.8.0.1" }]],
    );
    const one = await subnet(id, { ip_version: 6, cidr: "fd01::5/128", enable_dhcp: false });
    assert.deepEqual([one.gateway_ip, one.allocation_pools], [null, [{ start: "fd01::5", end: "fd01::5" }]]);
    const middle = await subnet(id, { cidr: "10.9.0.0/29", gateway_ip: "10.9.0.4" });
    assert.deepEqual(middle.allocation_pools, [
      { start: "10.9.0.1", end: "10.9.0.3" },
      { start: "10.9.0.5", end: "10.9.0.6" },
    ]);
    const enabled = await red.member.put(`/v2.0/subnets/${small.id}`, { subnet: { enable_dhcp: true } });
    assert.equal(errorOf(enabled).type, "InvalidInput");
    const into = await red.member.put(`/v2.0/subnets/${middle.id}`, { subnet: { gateway_ip: "10.9.0.2" } });
    assert.equal(errorOf(into).type, "GatewayConflictWithAllocationPools");
  });

  test(`${name}: a network's MTU is what the underlay leaves, and 0 asks for that`, async () => {
    assert.equal((await network()).mtu, 1434);
    assert.equal((await network({ mtu: 0 })).mtu, 1434);
    assert.equal((await network({ mtu: 1280 })).mtu, 1280);
    for (const mtu of [67, 1435, -1, "x"]) {
      assert.equal((await red.member.post("/v2.0/networks", { network: { mtu } })).status, 400, String(mtu));
    }
    const { id } = await network();
    const answer = await red.member.put(`/v2.0/networks/${id}`, { network: { mtu: 1400 } });
    assert.equal((answer.body.network as Json).mtu, 1400);
  });

  test(`${name}: an admin chooses a tunnel key of the tunnel's kind, and no two networks have the same`, async () => {
    const create = (values: Json) => server.admin.post("/v2.0/networks", { network: values });
    const chosen = await create({ "provider:network_type": "geneve", "provider:segmentation_id": 4242 });
    assert.equal((chosen.body.network as Json)["provider:segmentation_id"], 4242);
    const again = await create({ "provider:segmentation_id": 4242 });
    assert.deepEqual([again.status, errorOf(again).type], [409, "TunnelIdInUse"]);
    assert.equal((await create({ "provider:network_type": "gre" })).status, 400);
    assert.equal((await create({ "provider:physical_network": "physnet1" })).status, 400);
    const moved = await server.admin.put(`/v2.0/networks/${(chosen.body.network as Json).id}`, {
      network: { "provider:segmentation_id": 5 },
    });
    assert.equal(moved.status, 400);
    const found = await server.admin.list("networks", "provider:segmentation_id=4242");
    assert.equal(found.length, 1);
  });

  test(`${name}: a shared network: seen by all, joined by all within limits, private again only when nobody else is on it`, async () => {
    const { id } = await network({ name: "common" });
    const { id: subnetId } = await subnet(id, { cidr: "10.10.0.0/24" });
    assert.equal((await blue.member.get(`/v2.0/networks/${id}`)).status, 404);
    assert.equal((await server.admin.put(`/v2.0/networks/${id}`, { network: { shared: true } })).status, 200);
    assert.equal((await blue.reader.show("network", id)).name, "common");
    assert.equal((await blue.reader.show("subnet", subnetId)).id, subnetId);
    assert.ok((await blue.member.list("networks")).some((each) => each.id === id));
    assert.ok((await blue.member.list("subnets")).some((each) => each.id === subnetId));
    const port = await blue.member.create("port", { network_id: id, fixed_ips: [{ subnet_id: subnetId }] });
    for (const [values, rule] of [
      [
        { fixed_ips: [{ ip_address: "10.10.0.99" }] },
        "(rule:create_port and (rule:create_port:fixed_ips and (rule:create_port:fixed_ips:ip_address)))",
      ],
      [{ mac_address: "fa:16:3e:99:98:97" }, "(rule:create_port and rule:create_port:mac_address)"],
      [{ port_security_enabled: false }, "(rule:create_port and rule:create_port:port_security_enabled)"],
      [{ device_owner: "network:dhcp" }, "(rule:create_port and rule:create_port:device_owner)"],
    ] as const) {
      const answer = await blue.member.post("/v2.0/ports", { port: { network_id: id, ...values } });
      assert.deepEqual([answer.status, errorOf(answer).message], [403, `${rule} is disallowed by policy`]);
    }
    assert.equal((await red.member.show("port", port.id)).project_id, blue.id, "the owner sees who is on its network");
    assert.equal((await red.member.put(`/v2.0/ports/${port.id}`, { port: { name: "mine" } })).status, 403);
    const unshared = await server.admin.put(`/v2.0/networks/${id}`, { network: { shared: false } });
    assert.deepEqual([unshared.status, errorOf(unshared).type], [409, "InvalidSharedSetting"]);
    assert.equal((await red.member.delete(`/v2.0/ports/${port.id}`)).status, 204, "the owner may put a guest out");
    assert.equal((await server.admin.put(`/v2.0/networks/${id}`, { network: { shared: false } })).status, 200);
    assert.equal((await blue.member.get(`/v2.0/subnets/${subnetId}`)).status, 404);
  });

  test(`${name}: If-Match: the right number passes, a wrong one is 412, and two of one number are one winner`, async () => {
    const { id, revision_number } = await network();
    const put = (revision: unknown, value: string) =>
      red.member.put(
        `/v2.0/networks/${id}`,
        { network: { name: value } },
        { "if-match": `revision_number=${revision}` },
      );
    const both = await Promise.all([put(revision_number, "a"), put(revision_number, "b")]);
    assert.deepEqual(both.map((answer) => answer.status).toSorted(), [200, 412]);
    assert.equal((await put(0, "c")).status, 412);
    assert.equal((await red.member.show("network", id)).revision_number, Number(revision_number) + 1);
    const refused = await red.member.delete(`/v2.0/networks/${id}`, { "if-match": "revision_number=1" });
    assert.equal(refused.status, 412);
    assert.equal((await red.member.delete(`/v2.0/networks/${id}`, { "if-match": "revision_number=2" })).status, 204);
  });

  test(`${name}: pages forward and backward hold every object once, in the order asked for`, async () => {
    const prefix = `page-${name}`;
    await red.member.post("/v2.0/networks", {
      networks: Array.from({ length: 7 }, (_, n) => ({ name: `${prefix}${n % 3}`, description: prefix })),
    });
    const seen: Json[] = [];
    let path: string | undefined =
      `/v2.0/networks?description=${encodeURIComponent(prefix)}&limit=3&sort_key=name&sort_dir=desc&sort_key=id&sort_dir=asc`;
    let last = "";
    while (path !== undefined) {
      const page: Json = (await red.member.get(path)).body;
      const objects = page.networks as readonly Json[];
      seen.push(...objects);
      if (objects.length > 0) last = String(objects[0]?.id);
      const next = (page.networks_links as readonly Json[]).find((link) => link.rel === "next");
      path = next === undefined ? undefined : String(next.href).slice(server.url.length);
    }
    assert.equal(new Set(seen.map((each) => each.id)).size, 7);
    const key = (each: Json) => [2 - Number(String(each.name).at(-1)), each.id].join();
    assert.deepEqual(seen.map(key), seen.map(key).toSorted());
    const back = await red.member.list(
      "networks",
      `description=${encodeURIComponent(prefix)}&limit=3&sort_key=name&sort_dir=desc&sort_key=id&sort_dir=asc&marker=${last}&page_reverse=True`,
    );
    assert.deepEqual(
      back.map((each) => each.id),
      seen.slice(3, 6).map((each) => each.id),
    );
  });

  test(`${name}: pages of any size are what stands there in the whole list, and a list too long for one turn is whole`, async () => {
    const project = await server.project(`long-${name}`);
    await server.admin.put(`/v2.0/quotas/${project.id}`, { quota: { network: -1 } });
    const wanted = Array.from({ length: 2_100 }, (_, n) => ({ name: `n${(n * 7) % 5}`, mtu: 1280 + (n % 3) }));
    for (let at = 0; at < wanted.length; at += 500)
      await project.member.post("/v2.0/networks", { networks: wanted.slice(at, at + 500) });
    const order = "sort_key=name&sort_dir=desc&sort_key=mtu&sort_dir=asc";
    const whole = await project.member.list("networks", `project_id=${project.id}&${order}`);
    assert.equal(whole.length, 2_100);
    const key = ({ name: text, mtu, id }: Json) => `${9 - Number(String(text).at(-1))} ${mtu} ${id}`;
    assert.deepEqual(whole.map(key), whole.map(key).toSorted());
    assert.deepEqual(await project.member.show("network", String(whole[2_099]?.id)), whole[2_099]);
    const page = async (query: string) =>
      (await project.member.list("networks", `project_id=${project.id}&${order}&${query}`)).map(({ id }) => id);
    const ids = whole.map(({ id }) => id);
    assert.deepEqual(await page("limit=2050"), ids.slice(0, 2050));
    assert.deepEqual(await page(`limit=100&marker=${ids[999]}`), ids.slice(1000, 1100));
    assert.deepEqual(await page(`limit=100&marker=${ids[999]}&page_reverse=True`), ids.slice(899, 999));
    assert.deepEqual(await page("limit=3&page_reverse=True"), ids.slice(-3));
    assert.deepEqual(await page(`limit=100&marker=${ids[2_098]}`), ids.slice(2_099));
    const { body } = await project.member.get(`/v2.0/networks?limit=2050&${order}`);
    const [link] = body.networks_links as readonly Json[];
    assert.match(String(link?.href), new RegExp(`marker=${ids[2049]}`));
  });

  test(`${name}: filters: repeated keys are alternatives, different keys narrow, booleans and numbers are read as such`, async () => {
    const { id } = await network({ name: "f1", admin_state_up: false, mtu: 1300 });
    await network({ name: "f2", mtu: 1300 });
    const names = async (query: string) =>
      (await red.member.list("networks", `fields=name&${query}`)).map((each) => each.name).toSorted();
    assert.deepEqual(await names("name=f1&name=f2"), ["f1", "f2"]);
    assert.deepEqual(await names("name=f1&name=f2&admin_state_up=False"), ["f1"]);
    assert.deepEqual(await names("name=f1&name=f2&admin_state_up=1&mtu=1300"), ["f2"]);
    assert.deepEqual(await names(`id=${id}&project_id=${red.id}`), ["f1"]);
    assert.deepEqual(await names(`id=${id}&tenant_id=${blue.id}`), []);
    assert.equal((await red.member.get("/v2.0/networks?mtu=x")).status, 400);
    assert.equal(
      (await red.member.get("/v2.0/networks?provider:segmentation_id=1")).status,
      400,
      "a member cannot probe what it may not read",
    );
  });
}
