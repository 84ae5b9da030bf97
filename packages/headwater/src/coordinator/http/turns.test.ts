import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { turns } from './turns.ts';

it('lets so many through in each turn of the event loop, in order', async () => {
  const takeTurn = turns(3);
  const went: number[] = [];
  const ask = (who: number) => void takeTurn().then(() => went.push(who));
  for (let who = 0; who < 7; who++) ask(who);
  await Promise.resolve();
  expect(went).toEqual([0, 1, 2]);
  await nextTurn();
  ask(7);
  await nextTurn();
  await nextTurn();
  await nextTurn();
  expect(went).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  ask(8);
  await Promise.resolve();
  expect(went.at(-1)).toBe(8);
});
