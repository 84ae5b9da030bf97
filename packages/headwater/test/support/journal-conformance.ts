/** What every Journal must do, run on each implementation by its own test file. */

import { describe, expect, it } from 'vitest';
import type { Journal } from '../../src/storage/journal.ts';

/** What somebody did to stored entries behind the journal's back. */
export type Damage = 'changed' | 'missing' | 'swapped with the next' | 'changed snapshot';

export interface JournalUnderTest {
  readonly name: string;
  /** Begins another, empty journal … */
  fresh(): void | Promise<void>;
  /** … which each call opens. */
  open(): Journal | Promise<Journal>;
  /** Damages entry `seq` (or the snapshot) of the closed journal; a text says why this journal cannot be damaged. */
  readonly damage: ((kind: Damage, seq: number) => void | Promise<void>) | string;
}

export function journalConformance(subject: JournalUnderTest): void {
  describe(`journal contract: ${subject.name}`, () => {
    appending(subject);
    reading(subject);
    snapshots(subject);
    damaged(subject);
  });
}

const refused = (code: string) => expect.objectContaining({ code });

async function opened(subject: JournalUnderTest, events: readonly string[] = []): Promise<Journal> {
  await subject.fresh();
  const journal = await subject.open();
  if (events.length > 0) await journal.append(events, 0);
  return journal;
}

function appending(subject: JournalUnderTest): void {
  it('a new journal is empty', async () => {
    const journal = await opened(subject);
    expect(journal.lastSeq).toBe(0);
    expect(await journal.readAll()).toEqual([]);
    expect(await journal.loadSnapshot()).toBeUndefined();
    await journal.close();
  });

  it('entries come back in order with sequence numbers from 1', async () => {
    const journal = await opened(subject);
    expect(await journal.append([{ a: 1 }, 'two'], 0)).toBe(2);
    expect(await journal.append([[3, null, true]], 2)).toBe(3);
    expect(journal.lastSeq).toBe(3);
    expect(await journal.readAll()).toEqual([
      { seq: 1, event: { a: 1 } },
      { seq: 2, event: 'two' },
      { seq: 3, event: [3, null, true] },
    ]);
    await journal.close();
  });

  it('numbers and text survive exactly', async () => {
    const journal = await opened(subject);
    const event = { tiny: 5e-324, third: 1 / 3, big: 2 ** 53 - 1, text: 'łą\u2028\n"\\ \u0000 🙂', 'k"': [] };
    await journal.append([event], 0);
    expect((await journal.readAll())[0]?.event).toEqual(event);
    await journal.close();
  });

  it('a stale writer is refused and nothing is written', async () => {
    const journal = await opened(subject, ['first']);
    await expect(journal.append(['second', 'third'], 0)).rejects.toEqual(refused('RUN_LOCKED'));
    await expect(journal.append(['second'], 2)).rejects.toEqual(refused('RUN_LOCKED'));
    expect(await journal.readAll()).toHaveLength(1);
    expect(await journal.append(['second'], 1)).toBe(2);
    await journal.close();
  });

  it('of writers that decided on the same state one wins, whole', async () => {
    const journal = await opened(subject);
    const tries = ['a', 'b', 'c'].map((name) => journal.append([name, name], 0));
    const settled = await Promise.allSettled(tries);
    const won = settled.findIndex((outcome) => outcome.status === 'fulfilled');
    expect(settled.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1);
    const name = ['a', 'b', 'c'][won];
    expect((await journal.readAll()).map((entry) => entry.event)).toEqual([name, name]);
    await journal.close();
  });

  it('an event without JSON form leaves the journal as it was', async () => {
    const journal = await opened(subject, ['first']);
    await expect(journal.append(['second', { loss: Number.NaN }], 1)).rejects.toThrow();
    expect(journal.lastSeq).toBe(1);
    expect(await journal.readAll()).toHaveLength(1);
    expect(await journal.append(['second'], 1)).toBe(2);
    await journal.close();
  });
}

function reading(subject: JournalUnderTest): void {
  it('what was read or written cannot change what is stored', async () => {
    const journal = await opened(subject);
    const event = { round: 1 };
    await journal.append([event], 0);
    event.round = 5;
    const [entry] = await journal.readAll();
    (entry?.event as { round: number }).round = 7;
    expect((await journal.readAll())[0]?.event).toEqual({ round: 1 });
    await journal.close();
  });

  it('entries can be read from anywhere on, not from beyond the end', async () => {
    const journal = await opened(subject, ['a', 'b', 'c']);
    expect(await journal.readAfter(0)).toHaveLength(3);
    expect(await journal.readAfter(2)).toEqual([{ seq: 3, event: 'c' }]);
    expect(await journal.readAfter(3)).toEqual([]);
    await expect(journal.readAfter(4)).rejects.toEqual(refused('RUN_CORRUPT'));
    await journal.close();
  });

  it('everything is there after reopening', async () => {
    const journal = await opened(subject, ['a', 'b']);
    await journal.saveSnapshot({ seq: 1, state: { after: 'a' } });
    await journal.close();
    const again = await subject.open();
    expect(again.lastSeq).toBe(2);
    expect(await again.append(['c'], 2)).toBe(3);
    expect((await again.readAll()).map((entry) => entry.event)).toEqual(['a', 'b', 'c']);
    expect(await again.loadSnapshot()).toEqual({ seq: 1, state: { after: 'a' } });
    await again.close();
  });

  it('a second one sees what the first appended, and may then append itself', async () => {
    const first = await opened(subject);
    const second = await subject.open();
    await first.append(['a'], 0);
    await expect(second.append(['x'], 0)).rejects.toEqual(refused('RUN_LOCKED'));
    expect(await second.readAfter(0)).toEqual([{ seq: 1, event: 'a' }]);
    expect(second.lastSeq).toBe(1);
    expect(await second.append(['b'], 1)).toBe(2);
    expect(await first.readAll()).toHaveLength(2);
    await first.close();
    await second.close();
  });
}

function snapshots(subject: JournalUnderTest): void {
  it('the latest snapshot is kept', async () => {
    const journal = await opened(subject, ['a', 'b', 'c']);
    await journal.saveSnapshot({ seq: 2, state: { text: 'two', nested: [1.5, null] } });
    expect(await journal.loadSnapshot()).toEqual({ seq: 2, state: { text: 'two', nested: [1.5, null] } });
    await journal.saveSnapshot({ seq: 3, state: 'three' });
    await journal.saveSnapshot({ seq: 1, state: 'one' });
    expect(await journal.loadSnapshot()).toEqual({ seq: 3, state: 'three' });
    await journal.close();
  });

  it('a snapshot ahead of the entries is never given', async () => {
    const journal = await opened(subject, ['a']);
    await journal.saveSnapshot({ seq: 2, state: 'ahead' }).catch(() => undefined);
    expect(await journal.loadSnapshot()).toBeUndefined();
    await journal.close();
  });
}

function damaged(subject: JournalUnderTest): void {
  const { damage } = subject;
  // Where the subject says that nobody can get at its entries there is nothing to find.
  if (typeof damage === 'string') return;
  const readAgain = async (seq: number) => {
    const journal = await subject.open();
    try {
      return await journal.readAfter(seq);
    } finally {
      await journal.close();
    }
  };

  it.each(['changed', 'missing', 'swapped with the next'] as const)(
    'an entry that was %s is found',
    async (kind) => {
      const journal = await opened(subject, ['a', 'b', 'c', 'd', 'e']);
      await journal.close();
      await damage(kind, 3);
      await expect(readAgain(0)).rejects.toEqual(refused('RUN_CORRUPT'));
      await expect(readAgain(2)).rejects.toEqual(refused('RUN_CORRUPT'));
    },
  );

  it('a damaged snapshot is not given, the entries stay', async () => {
    const journal = await opened(subject, ['a', 'b']);
    await journal.saveSnapshot({ seq: 1, state: 'one' });
    await journal.close();
    await damage('changed snapshot', 1);
    const again = await subject.open();
    expect(await again.loadSnapshot()).toBeUndefined();
    expect(await again.readAll()).toHaveLength(2);
    await again.close();
  });
}
