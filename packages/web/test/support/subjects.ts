/** What owners train in tests: the smallest model on a few made sentences, or the model that ships on domains of CLINC150. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileIn, smallRun } from '../../../headwater/test/support/small-run.ts';
import { assets } from './clinc.ts';

export interface Subject {
  /** Path of the recipe, and what is changed in it. */
  readonly recipe: string;
  readonly overrides: readonly string[];
  /** Of owners' files: the first column has another name than the recipe's. */
  readonly header: string;
  /** The recipe's name of that column, and the owners'. */
  readonly mapping: readonly [wanted: string, own: string];
  rowsOf(owner: string, split: 'train' | 'test'): readonly string[];
  close(): void;
}

/** stories260K: three owners with sentences about one animal each. */
export function animals(): Subject {
  const small = smallRun({ baselines: { localOnly: false, centralised: false } });
  const files = new Map(
    (['train', 'test'] as const).map((split) => [split, fileIn(small.root, `data/${split}.csv`)] as const),
  );
  return {
    recipe: small.recipe,
    overrides: [],
    header: 'question,answer',
    mapping: ['prompt', 'question'],
    rowsOf(owner, split) {
      const [, ...rows] = files.get(split)!.trim().split('\n');
      return rows.flatMap((row) => (row.startsWith(`${owner},`) ? [row.slice(owner.length + 1)] : []));
    },
    close: small.remove,
  };
}

const DOMAINS: Readonly<Record<string, string>> = {
  ann: 'travel',
  ben: 'banking',
  cid: 'kitchen_and_dining',
};
const ROWS = { train: 32, test: 6 };

/** seed-lm-7m as in the quickstart: three owners with one domain of CLINC150 each. */
export function domains(): Subject {
  return {
    recipe: join(assets, '../recipes/quickstart.yaml'),
    overrides: [
      ...[
        'baselines.localOnly=false',
        'baselines.centralised=false',
        'evaluation.tasks[0].kind=token-accuracy',
      ],
      ...['federation.serverLearningRate=1'],
    ],
    header: 'utterance,intent',
    mapping: ['text', 'utterance'],
    rowsOf(owner, split) {
      const [, ...rows] = readFileSync(join(assets, `clinc150/${split}.csv`), 'utf8')
        .trim()
        .split('\n');
      const ending = `,${DOMAINS[owner]}`;
      const own = rows.flatMap((row) => (row.endsWith(ending) ? [row.slice(0, -ending.length)] : []));
      return own.slice(0, ROWS[split]);
    },
    close: () => undefined,
  };
}
