import { describe, expect, it } from 'vitest';
import { memoryStore } from '../../storage/memory.ts';
import { memoryBlobs } from '../../storage/memory-blobs.ts';
import { keepTidy } from './keep-tidy.ts';

const HOUR_MS = 3600 * 1000;

/** Timers that fire when the test says so. */
function manualTimers() {
  const waiting = new Map<() => void, number>();
  return {
    waiting,
    after(ms: number, fire: () => void) {
      waiting.set(fire, ms);
      return () => void waiting.delete(fire);
    },
    fireAll() {
      const due = [...waiting.keys()];
      waiting.clear();
      for (const fire of due) fire();
    },
  };
}

function tidyParts() {
  let nowMs = 0;
  const clock = { nowMs: () => nowMs };
  const lines: string[] = [];
  const timers = manualTimers();
  const say = (event: string) => void lines.push(event);
  const pass = (ms: number) => {
    nowMs += ms;
  };
  const blobs = memoryBlobs({ clock });
  const parts = { store: memoryStore({ clock }), blobs, clock, timers, log: { info: say, warn: say } };
  return { parts, timers, lines, blobs, pass };
}

describe('keeping tidy', () => {
  it('drops old uploads again and again, and stops when asked', async () => {
    const { parts, timers, lines, blobs, pass } = tidyParts();
    const stop = keepTidy(parts);
    const plan = { key: 'k', digest: 'a'.repeat(64), bytes: 1, chunkBytes: 1 };
    await blobs.uploads.open(plan);
    timers.fireAll();
    await settled();
    expect(await blobs.uploads.list()).toHaveLength(1);
    pass(25 * HOUR_MS);
    timers.fireAll();
    await settled();
    expect(await blobs.uploads.list()).toHaveLength(0);
    expect(lines).toEqual(['tidied']);
    await stop();
    expect(timers.waiting.size).toBe(0);
  });

  it('a store that fails is told of and tried again', async () => {
    const { parts, timers, lines } = tidyParts();
    const uploads = { ...parts.blobs.uploads, list: () => Promise.reject(new Error('gone')) };
    const stop = keepTidy({ ...parts, blobs: { ...parts.blobs, uploads } });
    timers.fireAll();
    await settled();
    timers.fireAll();
    await settled();
    expect(lines).toEqual(['not-tidied', 'not-tidied']);
    await stop();
  });
});

/** All that was ready has run. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
