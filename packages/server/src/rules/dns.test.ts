/** Names of ports and the zones of their networks (Neutron's `dns-integration` and `dns-domain-ports`). */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";

let server: TestServer;
let red: TestProject;
before(async () => {
  server = await startTestServer({ on: "memory", settings: { dnsDomain: "cloud.example." } });
  red = await server.project("red");
});
after(() => server[Symbol.asyncDispose]());

async function network(values: Json = {}): Promise<string> {
  const { id } = await red.member.create("network", { name: "n", ...values });
  await red.member.create("subnet", { network_id: id, ip_version: 4, cidr: "10.0.0.0/24" });
  await red.member.create("subnet", { network_id: id, ip_version: 6, cidr: "2001:db8::/64" });
  return id;
}
const fixed = (four: string, six: string) => ({ fixed_ips: [{ ip_address: four }, { ip_address: six }] });

test("a port without a name is called by its addresses, in the platform's zone", async () => {
  const network_id = await network();
  const port = await red.member.create("port", { network_id, ...fixed("10.0.0.5", "2001:db8::5") });
  assert.deepEqual([port.dns_name, port.dns_domain], ["", ""]);
  assert.deepEqual(port.dns_assignment, [
    { ip_address: "10.0.0.5", hostname: "host-10-0-0-5", fqdn: "host-10-0-0-5.cloud.example." },
    { ip_address: "2001:db8::5", hostname: "host-2001-db8--5", fqdn: "host-2001-db8--5.cloud.example." },
  ]);
});

test("a port's name is its addresses' in the zone of its network, or in its own; it changes and goes", async () => {
  const network_id = await network({ dns_domain: "Red.Example.ORG." });
  assert.equal((await red.member.show("network", network_id)).dns_domain, "red.example.org.");
  const port = await red.member.create("port", { network_id, dns_name: "Web", ...fixed("10.0.0.6", "2001:db8::6") });
  const names = async (values?: Json) => {
    if (values !== undefined) await red.member.put(`/v2.0/ports/${port.id}`, { port: values });
    const { dns_assignment } = await red.member.show("port", port.id);
    return (dns_assignment as readonly Json[]).map(({ hostname, fqdn }) => [hostname, fqdn]);
  };
  const both = (hostname: string, fqdn: string) => [
    [hostname, fqdn],
    [hostname, fqdn],
  ];
  assert.deepEqual(await names(), both("web", "web.red.example.org."));
  assert.deepEqual(await names({ dns_domain: "example.net." }), both("web", "web.example.net."));
  assert.deepEqual(await names({ dns_name: "a.b" }), both("a.b", "a.b.example.net."));
  assert.deepEqual(await names({ dns_name: "a.b.example.net." }), both("a.b.example.net.", "a.b.example.net."));
  assert.deepEqual(await names({ dns_domain: "", dns_name: "" }), [
    ["host-10-0-0-6", "host-10-0-0-6.red.example.org."],
    ["host-2001-db8--6", "host-2001-db8--6.red.example.org."],
  ]);
  const put = await red.member.put(`/v2.0/networks/${network_id}`, { network: { dns_domain: "" } });
  assert.equal(put.status, 200);
  assert.equal((await names())[0]?.[1], "host-10-0-0-6.cloud.example.");
});

test("what is no name is refused, and so is what is of another zone or too long with its own", async () => {
  const network_id = await network();
  const label = "a".repeat(63);
  for (const [values, reason] of [
    [{ dns_name: "-web" }, /must not start or end with a hyphen/],
    [{ dns_name: "we_b" }, /must be 1-63 characters long/],
    [{ dns_name: `${label}a` }, /must be 1-63 characters long/],
    [{ dns_name: "a..b" }, /Encountered an empty component/],
    [{ dns_name: "web.12" }, /TLD '12' must not be all numeric/],
    [{ dns_name: "." }, /Encountered an empty component/],
    [{ dns_name: 5 }, /not a valid string/],
    [{ dns_name: "web.other.example." }, /Its higher level labels must be equal to the dns_domain/],
    [{ dns_name: "cloud.example." }, /Its higher level labels must be equal to the dns_domain/],
    [{ dns_name: [label, label, label, "a".repeat(50)].join(".") }, /exceeds the maximum size of '254'/],
    [{ dns_domain: "example.org" }, /'example.org' is not a FQDN/],
    [{ dns_domain: "exa mple." }, /must be 1-63 characters long/],
  ] as const) {
    const answer = await red.member.post("/v2.0/ports", { port: { network_id, ...values } });
    assert.deepEqual([answer.status, errorOf(answer).type], [400, "HTTPBadRequest"], JSON.stringify(values));
    assert.match(errorOf(answer).message, reason);
  }
  const wrong = await red.member.post("/v2.0/networks", { network: { dns_domain: "example" } });
  assert.match(errorOf(wrong).message, /Invalid input for dns_domain\. Reason: 'example' is not a FQDN/);
  const port = await red.member.create("port", { network_id, dns_name: "ok" });
  const put = await red.member.put(`/v2.0/ports/${port.id}`, {
    port: { dns_domain: "b.example.", dns_name: "x.a.example." },
  });
  assert.equal(put.status, 400);
});

test("a network keeps the platform's zone that it was made with", async () => {
  const network_id = await network();
  const port = await red.member.create("port", { network_id, dns_name: "db" });
  const [assignment] = port.dns_assignment as readonly Json[];
  assert.equal(assignment?.fqdn, "db.cloud.example.");
  for (const hidden of ["dns_zone", "dns_project"])
    for (const object of [port, await red.member.show("network", network_id)]) assert.equal(hidden in object, false);
});
