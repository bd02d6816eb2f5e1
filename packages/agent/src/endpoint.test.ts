/** Tests of how a server is named and how soon it is tried again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isError } from "@selvage/base";
import { endpointOf, endpointText, longestPause } from "./endpoint.ts";

test("a server is named by URL or socket; what is neither is refused", () => {
  for (const [url, text] of [
    ["https://192.0.2.1", "https://192.0.2.1:9696"],
    ["https://[2001:db8::1]:1", "https://[2001:db8::1]:1"],
    ["unix:/run/selvage/server.sock", "unix:/run/selvage/server.sock"],
  ] as const)
    assert.equal(endpointText(endpointOf(url)), text);
  for (const url of ["http://192.0.2.1", "192.0.2.1", "unix:relative", "https://"])
    assert.throws(
      () => endpointOf(url),
      (error) => isError(error, "UsageInvalid"),
      url,
    );
});

test("a server on this machine is tried again within 2 s, one elsewhere within 10 s", () => {
  for (const [url, pause] of [
    ["unix:/run/selvage/server.sock", 2_000],
    ["https://127.0.0.1:9696", 2_000],
    ["https://localhost", 2_000],
    ["https://[::1]", 2_000],
    ["https://192.0.2.1", 10_000],
    ["https://127.0.0.1.example", 10_000],
    ["https://[2001:db8::1]", 10_000],
  ] as const)
    assert.equal(longestPause(endpointOf(url)), pause, url);
});
