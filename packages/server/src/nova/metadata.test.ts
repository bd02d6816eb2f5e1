/** What Nova's metadata service is asked for a machine, and for whom it is not asked at all. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { Host, Port, Replica } from "@selvage/model";
import { makeHost, makePort, put, testId } from "@selvage/model/testing";
import { NovaMetadata } from "./metadata.ts";

const secret = "sesame";
const device = "0123abcd-1111-4111-8111-111111111111";
const [here, elsewhere] = [makeHost(), makeHost({ id: testId("host", 2), name: "h2" })];
const port = (n: number, host: string, device_id = device) =>
  put(Port, makePort({ id: testId("port", n), key: n, device_id, "binding:host_id": host, project_id: "red" }));

const view = new Replica();
view.apply(
  [put(Host, here), put(Host, elsewhere), port(1, here.name), port(2, "h2"), port(3, ""), port(4, here.name, "")],
  1,
);

const asked: { readonly path: string; readonly headers: IncomingHttpHeaders; readonly body: string }[] = [];
const nova = createServer(async (request, response) => {
  let body = "";
  for await (const part of request) body += String(part);
  asked.push({ path: request.url ?? "", headers: request.headers, body });
  response.writeHead(request.url === "/nova/moved" ? 302 : 200, {
    "content-type": "text/x",
    location: "http://192.0.2.1/",
  });
  response.end("told");
});
let metadata: NovaMetadata;

before(async () => {
  nova.listen(0, "127.0.0.1");
  await once(nova, "listening");
  const url = `http://127.0.0.1:${(nova.address() as AddressInfo).port}/nova/`;
  metadata = new NovaMetadata({ view, url, secret, timeout: 5_000 });
});
after(() => nova.close());

const ask = (n: number, path: string, more: object = {}) =>
  metadata.ask(here.id, { port: testId("port", n), method: "GET", path, body: "", ...more });

test("a machine of the host that asks is signed for, by its own id, and what is not Nova's answer does not go on", async () => {
  asked.length = 0;
  const reply = await ask(1, "/latest/meta-data/?x=1");
  assert.deepEqual([reply.status, reply.type, Buffer.from(reply.body, "base64").toString()], [200, "text/x", "told"]);
  assert.deepEqual(
    asked.map(({ path }) => path),
    ["/nova/latest/meta-data/?x=1"],
  );
  const headers = asked[0]?.headers ?? {};
  assert.deepEqual(
    [headers["x-instance-id"], headers["x-tenant-id"], headers["x-instance-id-signature"]],
    [device, "red", createHmac("sha256", secret).update(device).digest("hex")],
  );
  assert.equal((await ask(1, "/moved")).status, 302, "nobody is followed elsewhere");
  assert.equal(asked.length, 2);
});

test("for a port that is bound elsewhere or nowhere, or is no machine's, nothing is signed and Nova is not asked", async () => {
  asked.length = 0;
  for (const n of [2, 3, 9]) await assert.rejects(ask(n, "/latest"), { code: "PortNotOnHost" });
  await assert.rejects(metadata.ask("no host", { port: testId("port", 1), method: "GET", path: "/", body: "" }), {
    code: "PortNotOnHost",
  });
  await assert.rejects(metadata.ask(elsewhere.id, { port: testId("port", 1), method: "GET", path: "/", body: "" }), {
    code: "PortNotOnHost",
  });
  assert.equal((await ask(4, "/latest")).status, 404);
  assert.deepEqual(asked, []);
});

test("no path leads out of Nova's own, and no question bears more than its words", async () => {
  asked.length = 0;
  for (const path of ["/../secret", "/a/../../secret", "/%2e%2e/secret", "/.%2E/secret", "/..\\secret"])
    await assert.rejects(ask(1, path), { code: "MetadataUnavailable" }, path);
  for (const path of ["/a b", "/a\r\nX: 1", "http://192.0.2.1/", "@192.0.2.1/", ""])
    await assert.rejects(ask(1, path), { code: "FieldInvalid" }, path);
  await assert.rejects(ask(1, "/", { headers: { "x-instance-id": "another" } }), { code: "FieldInvalid" });
  assert.deepEqual(asked, []);
  await ask(1, "//192.0.2.1/x");
  assert.deepEqual(
    asked.map(({ path }) => path),
    ["/nova//192.0.2.1/x"],
    "two strokes name no server",
  );
});
