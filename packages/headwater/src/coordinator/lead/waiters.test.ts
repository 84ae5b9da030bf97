import { describe, expect, it } from 'vitest';
import { createWaiters } from './waiters.ts';

/** Timers that never fire: who resolves was woken. */
const waiters = () => createWaiters({ after: () => () => {} });
const signal = new AbortController().signal;

describe('clients that wait', () => {
  it('are woken for themselves or with all', async () => {
    const { wait, wake, wakeAll, wakings } = waiters();
    const woken: string[] = [];
    const waits = ['ann', 'ben', 'cid'].map((owner) =>
      wait(owner, wakings(owner), 1000, signal).then(() => woken.push(owner)),
    );
    wake('ben');
    await waits[1];
    expect(woken).toEqual(['ben']);
    wakeAll();
    await Promise.all(waits);
    expect(woken).toEqual(['ben', 'ann', 'cid']);
  });

  it('do not sleep through what happened between their look and their wait', async () => {
    const { wait, wake, wakeAll, wakings } = waiters();
    const [ann, ben] = [wakings('ann'), wakings('ben')];
    wake('ann');
    await wait('ann', ann, 1000, signal);
    let benWoken = false;
    const sleeping = wait('ben', ben, 1000, signal).then(() => {
      benWoken = true;
    });
    await Promise.resolve();
    expect(benWoken).toBe(false);
    wakeAll();
    await sleeping;
    await wait('ann', ann, 1000, signal);
  });
});
