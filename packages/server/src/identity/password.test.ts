import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultSettings } from "../settings.ts";
import { Passwords } from "./password.ts";

test("a hash is Argon2id of at least 19 MiB and two passes, salted, and knows its password alone", async () => {
  const passwords = new Passwords(defaultSettings);
  const [first, second] = await Promise.all([passwords.hash("pässword"), passwords.hash("pässword")]);
  assert.match(String(first), /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
  assert.notEqual(first, second);
  assert.equal(await passwords.verify("pässword", first), true);
  assert.equal(await passwords.verify("password", first), false);
  assert.equal(await passwords.verify("", first), false);
});

test("a hash made with other parameters is still checked by its own", async () => {
  const stronger = new Passwords({ ...defaultSettings, passwordMemory: 32_768, passwordPasses: 3 });
  const hash = await stronger.hash("x");
  assert.match(hash, /m=32768,t=3,p=1/);
  assert.equal(await new Passwords(defaultSettings).verify("x", hash), true);
});

test("nobody's password is never right, and takes the same work", async () => {
  let worked = 0;
  const passwords = new Passwords({
    get passwordMemory() {
      worked += 1;
      return defaultSettings.passwordMemory;
    },
    passwordPasses: 2,
    passwordWorkers: 1,
    passwordQueue: 1,
  });
  assert.equal(await passwords.verify("anything", undefined), false);
  assert.equal(worked, 1, "the parameters are the settings'");
});

test("a malformed hash is a fault, never a match", async () => {
  await assert.rejects(new Passwords(defaultSettings).verify("x", "plain"), /PHC format/);
});

test("a bounded number work and wait; the rest are sent away with a time to come back, and the places are free again", async () => {
  const passwords = new Passwords({ ...defaultSettings, passwordWorkers: 1, passwordQueue: 2 });
  const results = await Promise.allSettled(Array.from({ length: 6 }, () => passwords.hash("x")));
  assert.deepEqual(
    results.map((result) => result.status),
    ["fulfilled", "fulfilled", "fulfilled", "rejected", "rejected", "rejected"],
  );
  const refused = results[3];
  assert.ok(refused?.status === "rejected");
  assert.deepEqual([refused.reason.status, refused.reason.retryAfter], [503, 1]);
  assert.ok(await passwords.hash("y"));
});
