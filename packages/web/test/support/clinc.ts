/** Real texts for the model that comes with Headwater: rows of CLINC150, tokenized as the quickstart does. */

import { join } from 'node:path';
import { loadDataset } from '../../../headwater/src/data/dataset-node.ts';
import { tokenizeExamples } from '../../../headwater/src/data/tokenize.ts';
import type { TokenizedExample } from '../../../headwater/src/data/types.ts';
import { loadTokenizer } from '../../../headwater/src/models/tokenizer-node.ts';

export const assets = join(import.meta.dirname, '../../../headwater/assets');

export async function clincExamples(count: number): Promise<readonly TokenizedExample[]> {
  const schema = { kind: 'prompt-completion', prompt: '{text}', completion: '{intent}', chat: true } as const;
  const files = { files: [join(assets, 'clinc150/train.csv')] };
  const rows = await loadDataset(files as never, schema as never, {}, '.');
  const codec = { ...(await loadTokenizer(join(assets, 'seed-lm-7m'))), labels: undefined };
  return tokenizeExamples(rows.slice(0, count), codec, { maxLength: 64 }).tokenized as TokenizedExample[];
}
