/** Work that is the same for all who ask for it, done once for those who ask together. */

/**
 * Gives the way to ask for `work`: one run at a time, and who asks while one runs shares the next with all who do; so each gets a run that began
 * after it asked. Rejects as that run does.
 */
export function shared(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  const run = (): Promise<void> => {
    next = undefined;
    running = work();
    return running;
  };
  return () => {
    next ??= running.then(run, run);
    return next;
  };
}
