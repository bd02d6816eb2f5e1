/** Loaded into each test file's process: one that has not ended after several times what the longest takes on two busy cores fails, and holds up no others. */

const minutes = 15;

setTimeout(() => {
  process.stderr.write(
    `this file's tests have not ended after ${minutes} minutes: something is left open, or never comes\n`,
  );
  process.exit(1);
}, minutes * 60_000).unref();
