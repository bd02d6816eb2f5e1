/** The three functions of the metadata proposal that the X.509 library's container calls, where nothing has set them. */

type Key = string | symbol;

const known = new WeakMap<object, Map<Key, unknown>>();

function ownOf(target: object): Map<Key, unknown> {
  const own = known.get(target) ?? new Map<Key, unknown>();
  known.set(target, own);
  return own;
}

function getOwnMetadata(key: Key, target: object): unknown {
  return known.get(target)?.get(key);
}

function getMetadata(key: Key, target: object): unknown {
  for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at)) {
    if (known.get(at)?.has(key)) return getOwnMetadata(key, at);
  }
  return undefined;
}

function defineMetadata(key: Key, value: unknown, target: object): void {
  ownOf(target).set(key, value);
}

/** Sets the functions on `Reflect` unless a polyfill is there already. Idempotent. */
export function provideReflectMetadata(): void {
  if ("getMetadata" in Reflect) return;
  Object.assign(Reflect, { getMetadata, getOwnMetadata, defineMetadata });
}
