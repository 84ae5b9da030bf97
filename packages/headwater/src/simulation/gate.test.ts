import { expect, it } from 'vitest';
import { createGate } from './gate.ts';

/** Lets everything that can happen now happen. */
const settle = async () => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};

it('a gate lets as many through as its limit, in order, and more when the limit rises', async () => {
  const gate = createGate(1);
  const started: number[] = [];
  const finish: (() => void)[] = [];
  const all = [0, 1, 2, 3].map((i) =>
    gate.pass(() => {
      started.push(i);
      return new Promise<void>((resolve) => {
        finish[i] = resolve;
      });
    }),
  );
  await settle();
  expect(started).toEqual([0]);
  finish[0]?.();
  await settle();
  expect(started).toEqual([0, 1]);
  gate.setLimit(3);
  await settle();
  expect(started).toEqual([0, 1, 2, 3]);
  for (const end of finish.slice(1)) end();
  await Promise.all(all);
});

it('a closed gate holds everything until it opens; a failure makes room', async () => {
  const gate = createGate(0);
  const failing = gate.pass(() => Promise.reject(new Error('no')));
  const next = gate.pass(async () => 'next');
  const failed = expect(failing).rejects.toThrow('no');
  gate.setLimit(1);
  await failed;
  expect(await next).toBe('next');
});
