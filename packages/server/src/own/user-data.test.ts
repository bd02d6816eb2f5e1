/** User data of ports: put, shown and taken back by members of the port's project and admins, and by nobody else; never in a port's reply. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { longestUserData, Port } from "@selvage/model";
import { startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";

let server: TestServer;
let red: TestProject;
let blue: TestProject;
let port: string;
const path = () => `/v1/ports/${port}/user-data`;

before(async () => {
  server = await startTestServer();
  [red, blue] = await Promise.all([server.project("red"), server.project("blue")]);
  const { id: network_id } = await red.member.create("network", { name: "office" });
  port = (await red.member.create("port", { network_id, name: "desk" })).id;
});
after(() => server?.[Symbol.asyncDispose]());

const stored = () => server.running.core.writer.replica.get(Port, port)?.user_data;

test("a member and an admin put, see and take back what is kept, and a port's reply does not have it", async () => {
  assert.deepEqual((await red.member.get(path())).body, { user_data: null });
  for (const client of [red.member, server.admin]) {
    const put = await client.put(path(), { user_data: "aGVsbG8=" });
    assert.deepEqual([put.status, put.body], [200, { user_data: "aGVsbG8=" }]);
    assert.deepEqual((await client.get(path())).body, { user_data: "aGVsbG8=" });
    assert.doesNotMatch((await server.admin.get(`/v2.0/ports/${port}`)).text, /user_data|aGVsbG8=/);
    assert.equal((await client.delete(path())).status, 204);
    assert.equal(stored(), "");
  }
});

test("what is the same writes nothing", async () => {
  await red.member.put(path(), { user_data: "aGVsbG8=" });
  const { replica } = server.running.core.writer;
  const before = replica.revision;
  await red.member.put(path(), { user_data: "aGVsbG8=" });
  assert.equal(replica.revision, before);
});

test("what is no base64, or too long, is refused; the longest is kept", async () => {
  await red.member.put(path(), { user_data: "aGVsbG8=" });
  for (const user_data of ["#!/bin/sh", "aGVsbG8", "aGVs bG8=", 1, null, "A".repeat(longestUserData + 1)]) {
    const { status, text } = await red.member.put(path(), { user_data });
    assert.deepEqual([status, text.includes("FieldInvalid")], [400, true], text.slice(0, 200));
  }
  assert.equal((await red.member.put(path(), {})).status, 400);
  assert.equal(stored(), "aGVsbG8=");
  const longest = "A".repeat(longestUserData - 3);
  assert.equal((await red.member.put(path(), { user_data: longest })).status, 200);
  assert.equal(stored(), longest);
});

test("to another project, to who only reads, and for what is no port, there is none", async () => {
  for (const client of [blue.member, blue.reader, red.reader]) {
    for (const method of ["GET", "PUT", "DELETE"]) {
      const body = method === "PUT" ? { user_data: "" } : undefined;
      assert.equal((await client.request(method, path(), body)).status, 404, method);
    }
  }
  assert.notEqual(stored(), "");
  assert.equal((await server.admin.get("/v1/ports/none/user-data")).status, 404);
});
