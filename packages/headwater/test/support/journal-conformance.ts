/** What every Journal must do, run on each implementation by its own test file. */

import { describe, expect, it } from 'vitest';
import type { Journal } from '../../src/storage/journal.ts';

export interface JournalUnderTest {
  readonly name: string;
  /** Opens the same journal at each call; `fresh` begins another one. */
  open(): Journal;
  fresh(): void;
}

export function journalConformance(subject: JournalUnderTest): void {
  const opened = () => {
    subject.fresh();
    return subject.open();
  };

  describe(`journal contract: ${subject.name}`, () => {
    it('a new journal is empty', async () => {
      const journal = opened();
      expect(journal.lastSeq).toBe(0);
      expect(await journal.readAll()).toEqual([]);
      await journal.close();
    });

    it('entries come back in order with sequence numbers from 1', async () => {
      const journal = opened();
      expect(await journal.append([{ a: 1 }, 'two'], 0)).toBe(2);
      expect(await journal.append([[3, null, true]], 2)).toBe(3);
      expect(await journal.readAll()).toEqual([
        { seq: 1, event: { a: 1 } },
        { seq: 2, event: 'two' },
        { seq: 3, event: [3, null, true] },
      ]);
      await journal.close();
    });

    it('numbers and text survive exactly', async () => {
      const journal = opened();
      const event = { tiny: 5e-324, third: 1 / 3, big: 2 ** 53 - 1, text: 'łą\u2028\n"\\ 🙂' };
      await journal.append([event], 0);
      expect((await journal.readAll())[0]?.event).toEqual(event);
      await journal.close();
    });

    it('a stale writer is refused and nothing is written', async () => {
      const journal = opened();
      await journal.append(['first'], 0);
      await expect(journal.append(['second', 'third'], 0)).rejects.toEqual(
        expect.objectContaining({ code: 'RUN_LOCKED' }),
      );
      expect(await journal.readAll()).toHaveLength(1);
      await journal.close();
    });

    it('an event without JSON form leaves the journal as it was', async () => {
      const journal = opened();
      await journal.append(['first'], 0);
      await expect(journal.append(['second', { loss: Number.NaN }], 1)).rejects.toThrow();
      expect(journal.lastSeq).toBe(1);
      expect(await journal.readAll()).toHaveLength(1);
      expect(await journal.append(['second'], 1)).toBe(2);
      await journal.close();
    });

    it('what was read cannot change what is stored', async () => {
      const journal = opened();
      await journal.append([{ round: 1 }], 0);
      const [entry] = await journal.readAll();
      (entry?.event as { round: number }).round = 7;
      expect((await journal.readAll())[0]?.event).toEqual({ round: 1 });
      await journal.close();
    });
  });
}
