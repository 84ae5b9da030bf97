/**
 * A worker's answers to a span of a held-out set: scores of texts, texts for prompts. Where owners keep something, what belongs
 * to an owner is answered by the owner's own params, everything else at once by the shared ones.
 */

import { assert } from '../base/errors.ts';
import type { Params } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { BoundMethod } from '../federation/method.ts';
import { decodeParams } from '../federation/params.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import type { Blobs } from '../storage/blobs.ts';
import type { Engine, ExampleScore } from '../training/engine.ts';
import { type PreparedPrompt, writeTexts } from '../training/generation/write-texts.ts';
import type { ScoreJob, WriteJob } from './jobs.ts';
import { partsOf } from './kept.ts';
import type { References } from './references.ts';

export interface HeldOut {
  readonly pieces: readonly TokenizedExample[];
  readonly owners: readonly (string | undefined)[];
  /** Some task compares with the params that the run starts from. */
  readonly compared?: boolean;
  readonly prompts: readonly PreparedPrompt[];
  readonly promptOwners: readonly (string | undefined)[];
}

export type Load = (digest: string) => Promise<Params>;

interface AnsweringParts {
  readonly engine: Engine;
  readonly method: Pick<BoundMethod, 'ownParams'>;
  readonly references?: References | undefined;
  readonly blobs: Blobs;
  readonly heldOut: Partial<Readonly<Record<'validation' | 'test', HeldOut>>>;
  tokenizer(): Promise<Tokenizer>;
}

export async function scoreSpan(
  parts: AnsweringParts,
  load: Load,
  job: ScoreJob,
): Promise<readonly ExampleScore[]> {
  const { pieces = [], owners = [], compared = false } = parts.heldOut[job.split] ?? {};
  const { batchSize, maxLength, split, begin, end } = job;
  const scores = await byOwner(parts, load, job, owners, (params, positions) => {
    const examples = positions.map((position) => pieces[position]!);
    return parts.engine.score(params, examples, { batchSize, maxLength });
  });
  if (!compared) return scores;
  assert(parts.references !== undefined, 'what is compared needs something to be compared with');
  const texts = pieces.slice(begin, end);
  return parts.references.compared(`${split} ${begin}`, texts, scores, { batchSize, maxLength });
}

export async function writeSpan(parts: AnsweringParts, load: Load, job: WriteJob): Promise<string[]> {
  const { prompts = [], promptOwners = [] } = parts.heldOut[job.split] ?? {};
  const { engine } = parts;
  const tokenizer = await parts.tokenizer();
  return byOwner(parts, load, job, promptOwners, (params, positions) => {
    const own = positions.map((position) => prompts[position]!);
    return writeTexts({ engine, tokenizer, params }, own, job);
  });
}

type Span = Pick<ScoreJob, 'begin' | 'end' | 'params' | 'personal'>;

async function byOwner<T>(
  { method, blobs }: AnsweringParts,
  load: Load,
  { begin, end, params: digest, personal }: Span,
  owners: readonly (string | undefined)[],
  answer: (params: Params, positions: readonly number[]) => Promise<readonly T[]>,
): Promise<T[]> {
  const global = await load(digest);
  const answers = new Map<number, T>();
  for (const [owner, positions] of groups(owners, begin, end, personal)) {
    const own = personal[owner];
    const kept = own === undefined ? undefined : partsOf(decodeParams(await blobs.get(own)));
    const params = kept === undefined ? global : method.ownParams(global, kept);
    const given = await answer(params, positions);
    for (const [i, position] of positions.entries()) answers.set(position, given[i]!);
  }
  return Array.from({ length: end - begin }, (_, i) => answers.get(begin + i)!);
}

function groups(
  owners: readonly (string | undefined)[],
  begin: number,
  end: number,
  personal: Readonly<Record<string, string>>,
): Map<string, number[]> {
  const result = new Map<string, number[]>();
  for (let position = begin; position < end; position++) {
    const owner = owners[position] ?? '';
    const key = Object.hasOwn(personal, owner) ? owner : '';
    const positions = result.get(key);
    if (positions === undefined) result.set(key, [position]);
    else positions.push(position);
  }
  return result;
}
