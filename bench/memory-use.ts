/** What a process holds: heap after collection, typed columns outside it, and what the system counts. */

/** Bytes. */
export interface MemoryUse {
  /** Objects and strings, after collection. */
  readonly heap: number;
  /** Array buffers, which the columns of relations are. */
  readonly buffers: number;
  readonly resident: number;
}

/** Measures this process; it must have been started with --expose-gc. */
export async function memoryUse(): Promise<MemoryUse> {
  const collect = globalThis.gc;
  if (collect === undefined) throw new Error("this process cannot be collected: start it with --expose-gc");
  // The last resort also drops what V8 keeps for speed alone and gives up when memory is short: code that is old, caches of texts.
  for (let round = 0; round < 3; round += 1)
    await collect({ type: "major", execution: "async", flavor: "last-resort" });
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return { heap: heapUsed, buffers: arrayBuffers, resident: rss };
}

/** Heap and buffers together: what data costs. */
export const held = ({ heap, buffers }: MemoryUse): number => heap + buffers;

export const mebibytes = (bytes: number): number => bytes / 2 ** 20;
