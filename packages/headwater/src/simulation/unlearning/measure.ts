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
import { weightedExamples } from '../../training/objectives/language-modelling.ts';
import { combinedTuning, prefixedParams } from '../../tuning/combined.ts';
import type { Losses } from './restraint.ts';
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
/** Of each kind, where a method looks at losses after every step. */
const MOST_PER_STEP = 100;
/** Fewer validation rows of an owner say little about it: then those of all are taken. */
const FEWEST_UNSEEN = 8;

export interface Bench {
  readonly engine: Engine;
  /** What the owner trained on. */
  readonly examples: readonly TokenizedExample[];
  measure(model: readonly WeightedParams[]): Promise<Forgetting>;
  /** What approximate methods are held back by; on fewer examples than `measure` takes. */
  losses(model: readonly WeightedParams[]): Promise<Losses>;
  /** On validation rows that are like the owner’s; undefined where there are none. */
  unseenLoss(params: Params): Promise<number | undefined>;
  /** Of Σ wₑ · −log p(e): weights in the order of the examples. */
  gradients(
    params: Params,
    examples: readonly TokenizedExample[],
    weights: readonly number[],
  ): Promise<Params>;
  close(): Promise<void>;
}

/** `owner`: has examples in the run. */
export function openBench({ prepared, registries }: StoredRun, owner: string): Bench {
  const { recipe, model, heldOut, train } = prepared;
  const tuning = bindTuning(recipe, model.definition, registries);
  const executor = createNodeExecutor({
    device: recipe.device,
    threads: recipe.threadsPerSession,
    prepack: recipe.frozenWeights === 'packed',
  });
  const engine = createEngine({ model, tuning, executor });
  let weights: readonly number[] = [];
  const objective = weightedExamples((example) => weights[example]!);
  const weighted = createEngine({ model, tuning, executor, objective });
  const all = viewExamples(train.get(owner)!);
  const examples = sampled(all, Math.min(MOST, all.length), rng(recipe.seed, 'unlearn', 'members', owner));
  const pieces = heldOut.test?.pieces ?? [];
  const ownerOf = heldOut.test?.pieceOwner ?? [];
  const own = pieces.filter((_, i) => ownerOf[i] === owner);
  const others = pieces.filter((_, i) => ownerOf[i] !== owner);
  const settings = { batchSize: recipe.evaluation.batchSize, maxLength: recipe.data.maxLength };
  const scorer = (model_: readonly WeightedParams[]) => {
    if (model_.length === 1 && model_[0]!.weight === 1) return { engine, params: model_[0]!.params };
    const parts = model_.map(({ weight }, i) => ({ name: String(i), tuning, weight }));
    const params = new Map(model_.flatMap(({ params }, i) => [...prefixedParams(String(i), params)]));
    return { engine: createEngine({ model, tuning: combinedTuning(parts), executor }), params };
  };
  const { unseen, kept } = validationOf(heldOut.validation, owner);
  const few = (set: readonly TokenizedExample[], what: string) =>
    sampled(set, Math.min(MOST_PER_STEP, set.length), rng(recipe.seed, 'unlearn', what, owner));
  const [forgotten, keptFew] = [few(examples, 'forgotten'), few(kept, 'kept')];
  return {
    engine,
    examples: all,
    async losses(model) {
      const { engine: own_, params } = scorer(model);
      const kept_ = keptFew.length === 0 ? null : await own_.loss(params, keptFew, settings);
      return { forget: await own_.loss(params, forgotten, settings), kept: kept_ };
    },
    unseenLoss: async (params) => (unseen.length === 0 ? undefined : engine.loss(params, unseen, settings)),
    async gradients(params, of, by) {
      weights = by;
      return (await weighted.gradients(params, of, { maxLength: recipe.data.maxLength })).grads;
    },
    async measure(model) {
      const { engine: own_, params } = scorer(model);
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

/** Rows like the owner’s that nobody trained on (those of all where it has few), and rows of the others. */
function validationOf(
  set: StoredRun['prepared']['heldOut']['validation'],
  owner: string,
): { readonly unseen: readonly TokenizedExample[]; readonly kept: readonly TokenizedExample[] } {
  const pieces = set?.pieces ?? [];
  const own = pieces.filter((_, i) => set?.pieceOwner[i] === owner);
  const kept = pieces.filter((_, i) => set?.pieceOwner[i] !== owner);
  return { unseen: own.length >= FEWEST_UNSEEN ? own : [...pieces], kept };
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
