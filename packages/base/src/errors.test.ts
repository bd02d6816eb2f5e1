/** The registry of errors: wording as a real Neutron answered it, templates that are filled, bodies in three envelopes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pythonList, pythonString } from "./error-entry.ts";
import { type ErrorCode, entryOf, errorBody, errorTypes, fail, isError, type SelvageError } from "./errors.ts";

const codes = Object.keys(errorTypes).filter((code): code is ErrorCode => code in errorTypes);

test("each message is what a real Neutron (Zed) answered", () => {
  const id = "075ebe5e-cd24-439d-9c34-531a27a25c55";
  const captured: readonly (readonly [SelvageError, number, string, string])[] = [
    [fail("NetworkNotFound", { id }), 404, "NetworkNotFound", `Network ${id} could not be found.`],
    [fail("PortNotFound", { id }), 404, "PortNotFound", `Port ${id} could not be found.`],
    [fail("SubnetNotFound", { id }), 404, "SubnetNotFound", `Subnet ${id} could not be found.`],
    [fail("AttributesUnrecognized", { attributes: "nope" }), 400, "HTTPBadRequest", "Unrecognized attribute(s) 'nope'"],
    [
      fail("BodyKeyMissing", { resource: "network" }),
      400,
      "HTTPBadRequest",
      "Unable to find 'network' in request body",
    ],
    [
      fail("AttributeRequired", { attribute: "ip_version" }),
      400,
      "HTTPBadRequest",
      "Failed to parse request. Required attribute 'ip_version' not specified",
    ],
    [
      fail("AttributeInvalid", { attribute: "mac_address", reason: "'zz' is not a valid MAC address" }),
      400,
      "HTTPBadRequest",
      "Invalid input for mac_address. Reason: 'zz' is not a valid MAC address.",
    ],
    [
      fail("FilterInvalid", { attributes: pythonList(["nope"]) }),
      400,
      "HTTPBadRequest",
      "['nope'] is invalid attribute for filtering",
    ],
    [
      fail("InvalidInput", { error_message: "'maybe' cannot be converted to boolean" }),
      400,
      "InvalidInput",
      "Invalid input for operation: 'maybe' cannot be converted to boolean.",
    ],
    [
      fail("BadRequest", { resource: "limit", msg: "Limit must be an integer 0 or greater and not '-1'" }),
      400,
      "BadRequest",
      "Bad limit request: Limit must be an integer 0 or greater and not '-1'.",
    ],
    [
      fail("NetworkInUse", { net_id: id, ports: "a,b" }),
      409,
      "NetworkInUse",
      `Unable to complete operation on network ${id}. There are one or more ports still in use on the network, id for these ports is: a,b.`,
    ],
    [
      fail("SubnetInUse", { subnet_id: id, reason: "One or more ports have an IP allocation from this subnet." }),
      409,
      "SubnetInUse",
      `Unable to complete operation on subnet ${id}: One or more ports have an IP allocation from this subnet.`,
    ],
    [
      fail("GatewayConflictWithAllocationPools", { ip_address: "10.55.0.20", pool: "10.55.0.10-10.55.0.30" }),
      409,
      "GatewayConflictWithAllocationPools",
      "Gateway ip 10.55.0.20 conflicts with allocation pool 10.55.0.10-10.55.0.30.",
    ],
    [
      fail("MacAddressInUse", { net_id: id, mac: "fa:16:3e:11:22:33" }),
      409,
      "MacAddressInUse",
      `Unable to complete operation for network ${id}. The mac address fa:16:3e:11:22:33 is in use.`,
    ],
    [
      fail("DNSNameServersExhausted", { subnet_id: "new subnet", quota: 5 }),
      400,
      "DNSNameServersExhausted",
      "Unable to complete operation for new subnet. The number of DNS nameservers exceeds the limit 5.",
    ],
    [
      fail("ServicePortInUse", { port_id: id, reason: "has device owner network:router_interface" }),
      409,
      "ServicePortInUse",
      `Port ${id} cannot be deleted directly via the port API: has device owner network:router_interface.`,
    ],
    [
      fail("PolicyNotAuthorized", { rule: "rule:update_network" }),
      403,
      "PolicyNotAuthorized",
      "rule:update_network is disallowed by policy",
    ],
    [
      fail("RevisionNumberConstraintFailed", { constraint: 113, current: 0 }),
      412,
      "RevisionNumberConstraintFailed",
      "Constrained to 113, but current revision is 0",
    ],
    [
      fail("OverQuota", { overs: pythonList(["network"]) }),
      409,
      "OverQuota",
      "Quota exceeded for resources: ['network'].",
    ],
    [
      fail("HTTPMethodNotAllowed"),
      405,
      "HTTPMethodNotAllowed",
      "The server could not comply with the request since it is either malformed or otherwise incorrect.",
    ],
  ];
  for (const [error, status, type, message] of captured) {
    assert.deepEqual([error.status, error.type, error.message], [status, type, message]);
    assert.deepEqual(errorBody(error), { NeutronError: { type, message, detail: "" } });
  }
});

test("every entry has a status of failure, a kind, a hint that is a sentence, and fillable holes", () => {
  for (const code of codes) {
    const entry = entryOf(code);
    assert.ok(entry.status >= 400 && entry.status <= 599, code);
    assert.match(entry.kind, /^[a-z]+$/, code);
    assert.match(entry.hint, /^[A-Z].*\.$/s, code);
    assert.equal(entry.message.replaceAll(/%\([a-z_0-9A-Z]+\)s/g, "").includes("%("), false, code);
  }
});

test("Keystone's and our own errors travel in their own envelopes", () => {
  assert.deepEqual(errorBody(fail("Unauthorized")), {
    error: { code: 401, title: "Unauthorized", message: "The request you have made requires authentication." },
  });
  assert.deepEqual(errorBody(fail("IdentityNotFound", { kind: "project", id: "demo" })), {
    error: { code: 404, title: "Not Found", message: "Could not find project: demo." },
  });
  const own = fail("HostNotFound", { id: "h1" }, { field: "host" });
  assert.deepEqual(errorBody(own), {
    error: {
      type: "HostNotFound",
      status: 404,
      message: "Host h1 could not be found.",
      kind: "host",
      hint: own.hint,
      params: { id: "h1" },
      field: "host",
    },
  });
});

test("options travel with the error, and it is recognised by its code", () => {
  const cause = new Error("disk");
  const error = fail("StoreUnavailable", { reason: "disk" }, { retryAfter: 0, cause });
  assert.equal(error.retryAfter, 0);
  assert.equal(error.cause, cause);
  assert.ok(isError(error) && isError(error, "StoreBusy", "StoreUnavailable"));
  assert.ok(!isError(error, "StoreBusy") && !isError(cause));
});

test("a parameter is put in as it is, and a missing one is a fault of the program", () => {
  assert.equal(fail("HTTPBadRequest", { message: "$& %(message)s $1" }).message, "$& %(message)s $1");
  // @ts-expect-error the holes of the message are demanded by the type
  assert.throws(() => fail("NetworkNotFound", {}), /No value for %\(id\)s/);
  // @ts-expect-error and so is their name
  assert.throws(() => fail("NetworkNotFound", { net: "x" }), /No value/);
});

test("lists and strings look as Python prints them", () => {
  assert.equal(pythonList([]), "[]");
  assert.equal(pythonList(["a", "b"]), "['a', 'b']");
  assert.equal(pythonString("it's"), `"it's"`);
  assert.equal(pythonString(`it's "it"`), `'it\\'s "it"'`);
  assert.equal(pythonString("a\\b\n"), "'a\\\\b\\n'");
});
