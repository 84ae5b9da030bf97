/** Work on one key at a time, in the order in which it was asked for; other keys do not wait. */

export type InTurn = <T>(key: string, body: () => Promise<T>) => Promise<T>;

export function inTurn(): InTurn {
  const last = new Map<string, Promise<unknown>>();
  return async (key, body) => {
    const before = last.get(key) ?? Promise.resolve();
    const mine = before.then(body, body);
    last.set(key, mine);
    try {
      return await mine;
    } finally {
      if (last.get(key) === mine) last.delete(key);
    }
  };
}
