/** A queue between one who calls and one who iterates. */

export interface Channel<T> extends AsyncIterable<T> {
  push(item: T): void;
  end(): void;
  /** The iteration throws this after what was pushed before. */
  fail(cause: Error): void;
}

export function createChannel<T>(): Channel<T> {
  const items: T[] = [];
  let ended: { readonly cause: Error | undefined } | undefined;
  let news = Promise.withResolvers<void>();
  const tell = () => {
    news.resolve();
    news = Promise.withResolvers();
  };
  return {
    push(item) {
      items.push(item);
      tell();
    },
    end() {
      ended ??= { cause: undefined };
      tell();
    },
    fail(cause) {
      ended ??= { cause };
      tell();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const { promise } = news;
        while (items.length > 0) yield items.shift()!;
        if (ended?.cause !== undefined) throw ended.cause;
        if (ended !== undefined) return;
        if (items.length === 0) await promise;
      }
    },
  };
}
