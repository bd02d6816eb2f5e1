/**
 * Blocks of one address's ports, as a buddy allocator gives them (Knuth, The Art of Computer Programming, volume 1, section 2.5): a power of two of ports that
 * begins at a multiple of its size, so that a block is one masked match. Pure: what is taken is said by whoever asks.
 */
import { leasedPorts, leaseSizes } from "@selvage/model";

export interface Block {
  readonly first: number;
  readonly size: number;
}

/** A host that begins gets no more than this part of what is free: those that come later shall find something. */
const share = 16;

const end = ({ first, size }: Block): number => first + size;

export const overlaps = (one: Block, other: Block): boolean => one.first < end(other) && other.first < end(one);

/** Ports of an address that are neither taken nor kept. */
export function freePorts(taken: readonly Block[]): number {
  const all = leasedPorts.last - leasedPorts.first + 1;
  return taken.reduce((left, { size }) => left - size, all);
}

/** The largest power of two that is no more than `ports`, within what a block may have. */
function sizeWithin(ports: number, largest: number): number {
  let size: number = leaseSizes.smallest;
  while (size * 2 <= ports && size * 2 <= largest) size *= 2;
  return size;
}

/** How large a host's first block of an address is to be: less, the fewer ports are free. */
export const firstSize = (taken: readonly Block[]): number => sizeWithin(freePorts(taken) / share, leaseSizes.first);

/**
 * A free block of that size: of all that would do, one out of the smallest free buddy, so that large ones stay whole.
 * Undefined when there is none. Costs what is taken, times the number of sizes.
 */
export function freeBlock(taken: readonly Block[], size: number): Block | undefined {
  const sorted = [...taken].sort((one, other) => one.first - other.first);
  let best: Block | undefined;
  for (const buddy of freeBuddies(sorted)) {
    if (buddy.size < size) continue;
    if (best === undefined || buddy.size < best.size) best = buddy;
  }
  return best === undefined ? undefined : { first: best.first, size };
}

/** Of that size, or the largest smaller one that is free. */
export function blockUpTo(taken: readonly Block[], size: number): Block | undefined {
  for (let tried = size; tried >= leaseSizes.smallest; tried /= 2) {
    const block = freeBlock(taken, tried);
    if (block !== undefined) return block;
  }
  return undefined;
}

/** The largest aligned blocks that make up what is free, in order. */
function* freeBuddies(sorted: readonly Block[]): Iterable<Block> {
  let at: number = leasedPorts.first;
  for (const next of [...sorted, { first: leasedPorts.last + 1, size: 0 }]) {
    while (at < next.first) {
      const size = buddyAt(at, next.first);
      if (size >= leaseSizes.smallest) yield { first: at, size };
      at += size;
    }
    at = Math.max(at, end(next));
  }
}

/** The largest power of two that divides `first` and ends no later than `limit`. */
function buddyAt(first: number, limit: number): number {
  let size = 1;
  while (first % (size * 2) === 0 && first + size * 2 <= limit) size *= 2;
  return size;
}

/** What a host has of a router, with how many ports of each block are in use. */
export interface Used {
  readonly size: number;
  readonly current: boolean;
  readonly used: number;
}

/** A block is exchanged for a larger one when this part of it is in use, for a smaller one below that. */
const full = 3 / 4;
const empty = 1 / 8;

/**
 * The size that the current block should have by what is in use, or undefined when it has it. No block grows beyond the largest or shrinks below the first one's size;
 * a smaller block is at most a quarter full, so that sizes do not swing.
 */
export function wantedSize(blocks: readonly Used[]): number | undefined {
  const current = blocks.find((block) => block.current);
  if (current === undefined) return undefined;
  if (current.used > current.size * full && current.size < leaseSizes.largest) return current.size * 2;
  const used = blocks.reduce((sum, block) => sum + block.used, 0);
  if (used < current.size * empty && current.size > leaseSizes.first) return current.size / 2;
  return undefined;
}
