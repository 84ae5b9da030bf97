/**
 * What a model knows of an owner, and what it knows besides: losses and accuracy on the owner’s training examples, on its held-out
 * ones and on those of the others, and how well a loss threshold tells the first from the second (membership inference).
 */

import { rng, sampled } from '../../base/random.ts';
import type { Params } from '../../base/tensor.ts';
import type { TokenizedExample } from '../../data/types.ts';
import { bindTuning } from '../../jobs/records.ts';
import { viewExamples } from '../../jobs/shared-examples.ts';
import { areaUnderCurve } from '../../privacy/audit/membership.ts';
import { createNodeExecutor } from '../../runtime/onnx-node.ts';
import type { Engine, ExampleScore } from '../../training/engine.ts';
import { createEngine } from '../../training/engine-core.ts';
import { combinedTuning, prefixedParams } from '../../tuning/combined.ts';
import type { ForgetSet } from './ascend.ts';
import type { StoredRun } from './stored-run.ts';

/** Params of the run’s tuning, or several with weights. */
export interface WeightedParams {
  readonly params: Params;
  readonly weight: number;
}

/** Null where there are no such examples. */
export interface Quality {
  readonly numExamples: number;
  /** Nats per target. */
  readonly loss: number;
  /** Examples whose every target is the likeliest token. */
  readonly accuracy: number;
}

export interface Forgetting {
  /** On the owner’s training examples. */
  readonly forget: Quality;
  readonly heldOut: Quality | null;
  /** AUC of −loss between the two; 0.5: they cannot be told apart. */
  readonly membership: number | null;
  /** On the held-out examples of all others. */
  readonly retained: Quality | null;
}

/** Training examples looked at. */
const MOST = 300;

export interface Bench extends ForgetSet {
  readonly engine: Engine;
  measure(model: readonly WeightedParams[]): Promise<Forgetting>;
  close(): Promise<void>;
}

/** `owner`: has examples in the run. */
export function openBench({ prepared, registries }: StoredRun, owner: string): Bench {
  const { recipe, model, heldOut, train } = prepared;
  const tuning = bindTuning(recipe, model.definition, registries);
  const executor = createNodeExecutor({ device: recipe.device, threads: recipe.threadsPerSession });
  const engine = createEngine({ model, tuning, executor });
  const all = viewExamples(train.get(owner)!);
  const examples = sampled(all, Math.min(MOST, all.length), rng(recipe.seed, 'unlearn', 'members', owner));
  const pieces = heldOut.test?.pieces ?? [];
  const ownerOf = heldOut.test?.pieceOwner ?? [];
  const own = pieces.filter((_, i) => ownerOf[i] === owner);
  const others = pieces.filter((_, i) => ownerOf[i] !== owner);
  const settings = { batchSize: recipe.evaluation.batchSize, maxLength: recipe.data.maxLength };
  const scorer = (weighted: readonly WeightedParams[]) => {
    if (weighted.length === 1 && weighted[0]!.weight === 1) return { engine, params: weighted[0]!.params };
    const parts = weighted.map(({ weight }, i) => ({ name: String(i), tuning, weight }));
    const params = new Map(weighted.flatMap(({ params }, i) => [...prefixedParams(String(i), params)]));
    return { engine: createEngine({ model, tuning: combinedTuning(parts), executor }), params };
  };
  return {
    engine,
    examples: all,
    unseen: unseenBy(heldOut.validation, owner),
    async measure(weighted) {
      const { engine: own_, params } = scorer(weighted);
      const score = async (set: readonly TokenizedExample[]) =>
        set.length === 0 ? [] : own_.score(params, set, settings);
      const [members, strangers, rest] = [await score(examples), await score(own), await score(others)];
      return {
        forget: qualityOf(members)!,
        heldOut: qualityOf(strangers),
        membership: strangers.length === 0 ? null : areaUnderCurve(lossesOf(members), lossesOf(strangers)),
        retained: qualityOf(rest),
      };
    },
    close: () => executor.dispose(),
  };
}

/** The owner’s validation rows; those of all where it has none. */
function unseenBy(set: StoredRun['prepared']['heldOut']['validation'], owner: string): TokenizedExample[] {
  const pieces = set?.pieces ?? [];
  const own = pieces.filter((_, i) => set?.pieceOwner[i] === owner);
  return own.length > 0 ? own : [...pieces];
}

/** Negated: a low loss speaks for a member. */
function lossesOf(scores: readonly ExampleScore[]): number[] {
  return scores.map(({ nll, numTargets }) => -nll / Math.max(1, numTargets));
}

function qualityOf(scores: readonly ExampleScore[]): Quality | null {
  if (scores.length === 0) return null;
  const total = (of: (score: ExampleScore) => number) => scores.reduce((sum, score) => sum + of(score), 0);
  return {
    numExamples: scores.length,
    loss:
      total(({ nll }) => nll) /
      Math.max(
        1,
        total(({ numTargets }) => numTargets),
      ),
    accuracy: total(({ numCorrect, numTargets }) => (numCorrect === numTargets ? 1 : 0)) / scores.length,
  };
}
