/** What the tasks of every Store must do: a part of `store-conformance.ts`. */

import { expect, it } from 'vitest';
import type { Task } from '../../src/storage/store.ts';
import type { StoreUnderTest, WithStore } from './store-under-test.ts';

export const task = (id: string, kind = 'sum') => ({ id, kind, payload: { of: id } });
const idsOf = (tasks: readonly Task[]) => tasks.map(({ id }) => id);

export function tasks(withStore: WithStore, subject: StoreUnderTest): void {
  it(
    'a task is claimed by one worker, in order, with its payload and attempt',
    withStore(async ({ tasks }) => {
      await tasks.enqueue([task('z'), task('b'), task('a')]);
      expect(await tasks.claim('w1', ['sum'], 2, 10_000)).toEqual([
        { ...task('z'), attempt: 1 },
        { ...task('b'), attempt: 1 },
      ]);
      expect(idsOf(await tasks.claim('w2', ['sum'], 9, 10_000))).toEqual(['a']);
      expect(await tasks.claim('w3', ['sum'], 9, 10_000)).toEqual([]);
    }),
  );

  it(
    'workers that claim at once share the tasks without overlap',
    withStore(async ({ tasks }) => {
      const ids = Array.from({ length: 20 }, (_, i) => `t${String(i).padStart(2, '0')}`);
      await tasks.enqueue(ids.map((id) => task(id)));
      const claimed = await Promise.all(
        Array.from({ length: 10 }, (_, i) => tasks.claim(`w${i}`, ['sum'], 3, 10_000)),
      );
      expect(claimed.flatMap(idsOf).sort()).toEqual(ids);
    }),
  );

  it(
    'equal ids are one task, also after it was finished; kinds are kept apart',
    withStore(async ({ tasks }) => {
      await tasks.enqueue([task('a'), task('a'), task('e', 'evaluate')]);
      await tasks.enqueue([{ ...task('a'), payload: 'other' }]);
      expect(await tasks.claim('w', ['sum'], 9, 10_000)).toEqual([{ ...task('a'), attempt: 1 }]);
      await tasks.finish('a', { sum: 1 });
      await tasks.enqueue([task('a')]);
      expect(await tasks.claim('w', ['sum'], 9, 10_000)).toEqual([]);
      expect(idsOf(await tasks.claim('w', ['sum', 'evaluate'], 9, 10_000))).toEqual(['e']);
      expect(await tasks.claim('w', [], 9, 10_000)).toEqual([]);
    }),
  );

  it(
    'a silent worker loses its tasks, one that is heard keeps them',
    withStore(async ({ tasks }) => {
      await tasks.enqueue([task('a'), task('b')]);
      await tasks.claim('w1', ['sum'], 2, 10_000);
      await subject.advance(6_000);
      expect(await tasks.heartbeat('w1', ['b', 'none'], 10_000)).toEqual([true, false]);
      expect(await tasks.heartbeat('w2', ['a'], 10_000)).toEqual([false]);
      await subject.advance(6_000);
      expect(await tasks.claim('w2', ['sum'], 9, 10_000)).toEqual([{ ...task('a'), attempt: 2 }]);
      expect(await tasks.heartbeat('w1', ['a', 'b'], 10_000)).toEqual([false, true]);
    }),
  );

  it(
    'the first result stays, an equal one is fine, another one is damage',
    withStore(async ({ tasks }) => {
      await tasks.enqueue([task('a'), task('b')]);
      await tasks.claim('w', ['sum'], 1, 10_000);
      expect(await tasks.results(['a', 'b', 'none'])).toEqual([undefined, undefined, undefined]);
      await tasks.finish('a', { x: 1, y: [2] });
      await tasks.finish('a', { y: [2], x: 1 });
      await expect(tasks.finish('a', { x: 2 })).rejects.toMatchObject({ code: 'RUN_CORRUPT' });
      expect(await tasks.results(['b', 'a'])).toEqual([undefined, { result: { x: 1, y: [2] } }]);
      expect(await tasks.heartbeat('w', ['a'], 10_000)).toEqual([false]);
      await tasks.finish('b', null);
      expect(await tasks.results(['b'])).toEqual([{ result: null }]);
      await tasks.finish('none', 1);
    }),
  );

  it(
    'a failed task is tried again until its attempts are used up',
    withStore(async ({ tasks }) => {
      await tasks.enqueue([task('a')]);
      for (const attempt of [1, 2]) {
        expect(await tasks.claim('w', ['sum'], 1, 10_000)).toEqual([{ ...task('a'), attempt }]);
        await tasks.fail('a', `broke ${attempt}`, 2);
      }
      expect(await tasks.claim('w', ['sum'], 1, 10_000)).toEqual([]);
      expect(await tasks.results(['a'])).toEqual([{ failure: 'broke 2' }]);
      await tasks.finish('a', 'late');
      await tasks.fail('a', 'later', 1);
      expect(await tasks.results(['a'])).toEqual([{ failure: 'broke 2' }]);
      await tasks.fail('none', 'x', 1);
    }),
  );

  it(
    'a deleted task is forgotten and may come again',
    withStore(async ({ tasks }) => {
      await tasks.enqueue([task('a'), task('b')]);
      await tasks.finish('a', 1);
      await tasks.delete(['a', 'none']);
      await tasks.delete([]);
      expect(await tasks.results(['a'])).toEqual([undefined]);
      await tasks.enqueue([task('a')]);
      expect(idsOf(await tasks.claim('w', ['sum'], 9, 10_000))).toEqual(['b', 'a']);
    }),
  );
}
