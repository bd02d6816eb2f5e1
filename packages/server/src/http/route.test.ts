/** A route fits by method and by each part of its path; the parts in braces are handed on in order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Route, routeFor } from "./route.ts";

const route = (method: string, path: string): Route<null> => ({
  method,
  path,
  access: "anybody",
  answer: () => ({ status: 204 }),
});
const routes = [
  route("GET", "/v1/hosts"),
  route("GET", "/v1/hosts/{host}"),
  route("DELETE", "/v1/hosts/{host}/{what}"),
];
const found = (method: string, path: string) => {
  const match = routeFor(routes, method, path);
  return match === undefined ? undefined : [match.route.path, ...match.parts];
};

test("a path fits whole, whatever slashes stand around its parts", () => {
  assert.deepEqual(found("GET", "/v1/hosts"), ["/v1/hosts"]);
  assert.deepEqual(found("GET", "//v1/hosts/"), ["/v1/hosts"]);
  assert.deepEqual(found("GET", "/v1/hosts/h1"), ["/v1/hosts/{host}", "h1"]);
  assert.deepEqual(found("DELETE", "/v1/hosts/h1/x"), ["/v1/hosts/{host}/{what}", "h1", "x"]);
});

test("another method, a part too many, too few or of another name fits nothing", () => {
  for (const [method, path] of [
    ["POST", "/v1/hosts"],
    ["get", "/v1/hosts"],
    ["GET", "/v1/hosts/h1/x"],
    ["GET", "/v1"],
    ["GET", "/v1/host"],
    ["DELETE", "/v1/hosts/h1"],
  ] as const) {
    assert.equal(found(method, path), undefined, `${method} ${path}`);
  }
});
