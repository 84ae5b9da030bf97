/**
 * What the params that a run starts from say of its texts: preference objectives and tasks measure everything next to them.
 * Computed when first asked for and kept for the life of a worker; a function of the data and the seed alone.
 */

import type { Params } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { Engine, ExampleScore, TrainOptions } from '../training/engine.ts';

export interface ReferenceParts {
  readonly engine: Pick<Engine, 'score'>;
  /** The params that the run starts from. */
  readonly params: () => Promise<Params>;
}

type Batching = { readonly batchSize: number; readonly maxLength: number };

export interface References {
  /** The pairs of an owner with the log-likelihoods of their answers. */
  ofOwner(
    owner: string,
    pairs: readonly TokenizedExample[],
    options: Pick<TrainOptions, 'microBatchSize' | 'maxLength'>,
  ): Promise<readonly TokenizedExample[]>;
  /** Scores with `referenceNll`; `key` names the examples. */
  compared(
    key: string,
    examples: readonly TokenizedExample[],
    scores: readonly ExampleScore[],
    options: Batching,
  ): Promise<ExampleScore[]>;
}

export function createReferences({ engine, params }: ReferenceParts): References {
  let start: Promise<Params> | undefined;
  const owners = new Map<string, Promise<readonly TokenizedExample[]>>();
  const spans = new Map<string, Promise<readonly number[]>>();
  const likelihoods = async (examples: readonly TokenizedExample[], options: Batching) => {
    start ??= params();
    return (await engine.score(await start, examples, options)).map(({ nll }) => nll);
  };
  const withReference = async (pairs: readonly TokenizedExample[], options: Batching) => {
    const nll = await likelihoods(
      pairs.flatMap(({ rejected, ...chosen }) => (rejected === undefined ? [] : [chosen, rejected])),
      options,
    );
    return pairs.map((pair, i) => ({
      ...pair,
      reference: { chosen: -nll[2 * i]!, rejected: -nll[2 * i + 1]! },
    }));
  };
  return {
    ofOwner(owner, pairs, { microBatchSize, maxLength }) {
      const known = owners.get(owner) ?? withReference(pairs, { batchSize: 2 * microBatchSize, maxLength });
      owners.set(owner, known);
      return known;
    },
    async compared(key, examples, scores, options) {
      const known = spans.get(key) ?? likelihoods(examples, options);
      spans.set(key, known);
      const nll = await known;
      return scores.map((score, i) => ({ ...score, referenceNll: nll[i]! }));
    },
  };
}
