import { describe, expect, it } from 'vitest';
import { sleep } from '../src/base/clock.ts';
import { answerIn, beginLife } from './life.ts';
import { clockOf, createTime, timersOf } from './virtual-time.ts';

const never = () => false;

describe('virtual time', () => {
  it('fires in order of time, equal times in order of scheduling', async () => {
    const time = createTime();
    const fired: string[] = [];
    for (const [name, ms] of [
      ['c', 5],
      ['a', 1],
      ['d', 5],
      ['b', 2],
    ] as const)
      time.after(ms, () => fired.push(`${name}@${time.nowMs}`));
    expect(await time.run(never, 100)).toBe('idle');
    expect(fired).toEqual(['a@1', 'b@2', 'c@5', 'd@5']);
  });

  it('all continuations of an event run before the next event', async () => {
    const time = createTime();
    const seen: string[] = [];
    const chain = async () => {
      for (let i = 0; i < 50; i++) await Promise.resolve();
      seen.push('continuations');
    };
    time.after(1, () => void chain());
    time.after(1, () => seen.push('next'));
    await time.run(never, 100);
    expect(seen).toEqual(['continuations', 'next']);
  });

  it('an event that was called off does not fire and does not hold up the end', async () => {
    const time = createTime();
    let fired = 0;
    time.after(1, () => fired++)();
    expect(await time.run(never, 100)).toBe('idle');
    expect(fired).toBe(0);
  });

  it('ends when it is done, and when it is late', async () => {
    const time = createTime();
    time.after(10, () => {});
    time.after(1000, () => {});
    expect(await time.run(() => time.nowMs >= 10, 5000)).toBe('done');
    expect(await time.run(never, 500)).toBe('late');
  });

  it('clocks show virtual time and what they are wrong by', async () => {
    const time = createTime();
    const right = clockOf(time);
    const wrong = clockOf(time, () => -60_000);
    const before = right.nowMs();
    time.after(1234, () => {});
    await time.run(never, 5000);
    expect(right.nowMs() - before).toBe(1234);
    expect(right.nowMs() - wrong.nowMs()).toBe(60_000);
  });

  it('timers and answers end with their process', async () => {
    const time = createTime();
    const life = beginLife('p', 1);
    const seen: string[] = [];
    void sleep(timersOf(time, life), 10).then(() => seen.push('timer'));
    void answerIn(time, life, 10, () => seen.push('answer'));
    time.after(5, () => life.die());
    await time.run(never, 100);
    expect(seen).toEqual([]);
  });
});
