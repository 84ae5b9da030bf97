/**
 * What coalitions were worth, kept beside the run: a contribution that was interrupted, or that is asked for again with more
 * permutations, scores no coalition twice. One line a coalition; a line that was cut off is none.
 */

import { appendFile, readFile } from 'node:fs/promises';

export interface CoalitionValues {
  of(coalition: string): readonly number[] | undefined;
  keep(coalition: string, rows: readonly number[]): Promise<void>;
}

interface Line {
  readonly of: string;
  readonly coalition: string;
  readonly rows: readonly number[];
}

/** `of`: digest of everything that the values depend on beside the coalition. */
export async function openCoalitionValues(file: string, of: string): Promise<CoalitionValues> {
  const known = new Map<string, readonly number[]>();
  const text = await readFile(file, 'utf8').catch(() => '');
  for (const line of text.split('\n').map(parsed)) if (line?.of === of) known.set(line.coalition, line.rows);
  // Behind a line that was cut off a new one begins.
  let gap = text === '' || text.endsWith('\n') ? '' : '\n';
  return {
    of: (coalition) => known.get(coalition),
    async keep(coalition, rows) {
      const line = `${gap}${JSON.stringify({ of, coalition, rows } satisfies Line)}\n`;
      gap = '';
      await appendFile(file, line);
    },
  };
}

function parsed(text: string): Line | undefined {
  try {
    const line = JSON.parse(text) as Partial<Line>;
    return Array.isArray(line.rows) ? (line as Line) : undefined;
  } catch {
    return undefined;
  }
}
