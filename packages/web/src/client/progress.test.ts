import { expect, test } from 'vitest';
import type { TabEvent } from './messages.ts';
import { mayBeHonest, NO_PROGRESS, progressed } from './progress.ts';

const after = (...events: TabEvent[]) =>
  events.reduce((progress, event) => progressed(progress, event, 0), NO_PROGRESS);

type Step = Extract<TabEvent, { type: 'secure-round' }>['step'];
const secure = (step: Step, round: number, more: object = {}): TabEvent => ({
  ...{ type: 'secure-round', step, round },
  ...more,
});

test('steps of secure aggregation add up within an attempt; a new attempt or round begins anew', () => {
  const begun = [secure('advertise', 1, { owners: 9 }), secure('share', 1, { owners: 8 }), secure('mask', 1)];
  expect(after(...begun)).toMatchObject({ doing: 'sending', secure: { round: 1, owners: 8 } });
  expect(after(...begun, secure('mask', 1)).secure?.done).toEqual(['advertise', 'share', 'mask']);
  const again = after(...begun, secure('leave', 1, { reason: 'bad-sets: …' }), secure('advertise', 1));
  expect(again.secure).toEqual({ round: 1, done: ['advertise'], owners: undefined, left: undefined });
  expect(after(...begun, secure('mask', 2)).secure).toMatchObject({ round: 2, done: ['mask'] });
});

test('why an attempt was left stays to be read until there is another one', () => {
  const left = after(secure('advertise', 3), secure('leave', 3, { reason: 'bad-key: …' }));
  expect(left).toMatchObject({ doing: 'waiting', secure: { done: ['advertise'], left: 'bad-key: …' } });
  const waiting = progressed(left, { type: 'waiting', round: 3, rounds: 5 }, 0);
  expect(waiting.secure).toBe(left.secure);
});

test('a run that is paused is told as such', () => {
  const paused = after({ type: 'waiting', round: 2, rounds: 5, paused: true });
  expect(paused).toMatchObject({ doing: 'paused', round: 2 });
  expect(progressed(paused, { type: 'waiting', round: 2, rounds: 5 }, 0).doing).toBe('waiting');
});

test('a training that the privacy budget forbids is a round without an update', () => {
  const { notes } = after({ type: 'budget-spent', round: 4, epsilon: 3.2, target: 3 });
  expect(notes).toEqual([
    { round: 4, loss: null, accepted: false, reason: expect.stringMatching(/not trained/) },
  ]);
});

test('what an honest coordinator never asks for is not told as harmless', () => {
  expect(['too-few-members: …', 'wrong-step: …'].map(mayBeHonest)).toEqual([true, true]);
  const others = ['inconsistent-survivors', 'not-a-survivor', 'missing-share', 'bad-sets', 'bad-signature'];
  expect(others.filter((reason) => mayBeHonest(`${reason}: …`))).toEqual([]);
});
