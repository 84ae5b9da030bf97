/** What the contract tests of stores are given. */

import type { Store } from '../../src/storage/store.ts';

export interface StoreUnderTest {
  readonly name: string;
  /** Begins another, empty store … */
  fresh(): void | Promise<void>;
  /** … which each call opens, as another process would where that is possible. */
  open(): Promise<Store>;
  /** Lets so much time pass on the store's clock. */
  advance(ms: number): void | Promise<void>;
}

export type WithStore = (body: (store: Store) => Promise<void>) => () => Promise<void>;
