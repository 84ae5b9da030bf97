/**
 * Results in the order of the items, `atOnce` of them under way at a time: sums over them have the same bits however many that are.
 * The first failure ends it; what is still under way then goes to its end unheard.
 */
export async function* sideBySide<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T, index: number) => Promise<R>,
): AsyncGenerator<R> {
  const running: Promise<R>[] = [];
  let next = 0;
  while (next < items.length || running.length > 0) {
    for (; next < items.length && running.length < atOnce; next++) {
      const result = work(items[next]!, next);
      // It is awaited when its turn comes, which may be never.
      result.catch(() => undefined);
      running.push(result);
    }
    yield await running.shift()!;
  }
}
