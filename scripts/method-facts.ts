/**
 * What a federated method's record says when it is asked about a small model: which tuning kinds it takes, what travels, what
 * it cannot be combined with. Nothing is trained; docs/methods.md is made from the answers.
 */

import { join } from 'node:path';
import { sizeOf } from '../packages/headwater/src/base/tensor.ts';
import { encodedUpdateBytes } from '../packages/headwater/src/federation/compression/encode.ts';
import { plain } from '../packages/headwater/src/federation/compression/none.ts';
import { compressions } from '../packages/headwater/src/federation/compression/registry.ts';
import {
  type BoundMethod,
  bindMethod,
  type Method,
  type RunFacts,
} from '../packages/headwater/src/federation/method.ts';
import { fedavg } from '../packages/headwater/src/federation/methods/fedavg.ts';
import { type PrivacyFacts, privacyMistakes } from '../packages/headwater/src/federation/privacy-needs.ts';
import { median } from '../packages/headwater/src/federation/robust/median.ts';
import { ruleMistakes } from '../packages/headwater/src/federation/robust/needs.ts';
import { bindRule } from '../packages/headwater/src/federation/robust/rule.ts';
import { sentDownBytes } from '../packages/headwater/src/federation/sent-down.ts';
import { openCheckpoint } from '../packages/headwater/src/models/checkpoint-node.ts';
import type { BoundTuning, ModelLayout, TrainableTensor } from '../packages/headwater/src/tuning/kind.ts';
import { tuningKinds } from '../packages/headwater/src/tuning/registry.ts';

export interface MethodFacts {
  /** Kinds that it accepts, the first of which the figures are for. */
  readonly kinds: readonly string[];
  /** What it asks of an ordinary run with that kind; empty: nothing. */
  readonly needs: readonly string[];
  /** What it asks of the clients’ optimizer: refusals of AdamW where plain SGD is taken. */
  readonly asksOfOptimizer: readonly string[];
  readonly traffic: Traffic | undefined;
  /** Reasons, by what was tried. */
  readonly refuses: Readonly<Record<string, readonly string[]>>;
}

/** Of one client in one round, mean over four rounds and owners; and FedAvg's with the same tuning. */
interface Traffic {
  readonly upBytes: number;
  readonly downBytes: number;
  readonly fedavgBytes: number;
  /** Numbers that a client trains, and FedAvg's. */
  readonly trained: number;
  readonly fedavgTrained: number;
}

/** Options that a kind cannot do without on the small model. */
const KIND_OPTIONS: Readonly<Record<string, object>> = {
  lora: { rank: 8, alpha: 16, targetModules: 'all-linear' },
  dora: { rank: 8, alpha: 16, targetModules: 'all-linear' },
  'prompt-tuning': { numVirtualTokens: 8 },
  'prefix-tuning': { numVirtualTokens: 8 },
  'p-tuning': { numVirtualTokens: 8 },
  layers: { layers: [4] },
};

const RUN = { rounds: 10, localSteps: 2 };
const ADAMW = {
  kind: 'adamw',
  learningRate: 1e-3,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  momentum: 0,
} as const;
const SGD = { ...ADAMW, kind: 'sgd' } as const;

const FACTS: Omit<RunFacts, 'tensors'> = {
  ...RUN,
  numOwners: 10,
  cohortSize: 5,
  quorum: 5,
  optimizer: ADAMW,
  compression: 'none',
  mode: 'synchronous',
  serverLearningRate: 1,
};

const TRIED: Readonly<Record<string, Partial<RunFacts>>> = {
  ...Object.fromEntries(
    [...compressions.keys()]
      .filter((id) => id !== 'none')
      .map((id) => [`compression ${id}`, { compression: id }]),
  ),
  'buffered mode': { mode: 'buffered' },
  'a server learning rate other than 1': { serverLearningRate: 2 },
};

const model = await openCheckpoint(
  join(import.meta.dirname, '../packages/headwater/test/fixtures/models/stories260K'),
);
const layout = model.definition;

/** The kinds bound to the small model; those that it does not have are left out. */
const bound = new Map(
  [...tuningKinds].flatMap(([id, kind]) => {
    const tuning = orUndefined(() => kind.bind(kind.options.parse(KIND_OPTIONS[id] ?? {}), layout));
    return tuning === undefined ? [] : [[id, tuning] as const];
  }),
);

export function methodFacts(method: Method<unknown>): MethodFacts {
  const record = bindMethod(method, method.options.parse({}));
  const tried = [...bound].map(([id, tuning]) => ({ id, ...onKind(record, tuning) }));
  const least = Math.min(...tried.map(({ needs }) => needs?.length ?? Number.POSITIVE_INFINITY));
  const accepted = tried.filter(({ needs }) => needs?.length === least);
  const first = accepted.find(({ id }) => id === 'lora') ?? accepted[0];
  if (first?.tuning === undefined)
    return { kinds: [], needs: [], asksOfOptimizer: [], traffic: undefined, refuses: {} };
  const { tuning, facts, needs, asksOfOptimizer } = first;
  const refuses = Object.entries(TRIED).flatMap(([what, change]) => {
    const more = record.preconditions({ ...facts!, ...change }).filter((reason) => !needs!.includes(reason));
    return more.length === 0 ? [] : [[what, more] as const];
  });
  const robust = ruleMistakes(record, rule, facts!).map((reason) =>
    reason.replace(/^[^:]+: \S+ /, 'a rule '),
  );
  if (robust.length > 0) refuses.push([ROBUST, robust]);
  const privacy = privacyMistakes(withPrivacy(facts!.tensors), record);
  if (privacy.length > 0) refuses.push([PRIVACY, privacy]);
  return {
    kinds: [first.id, ...accepted.map(({ id }) => id).filter((id) => id !== first.id)],
    needs: needs!,
    asksOfOptimizer: asksOfOptimizer!,
    traffic: orUndefined(() => trafficOf(record, tuning, bound.get(first.id)!)),
    refuses: Object.fromEntries(refuses),
  };
}

/** Of `refuses`. */
export const PRIVACY = '`privacy.clientLevel`';
export const ROBUST = '`federation.robust`';

/** Any that asks for nothing but updates of one kind. */
const rule = bindRule(median, median.options.parse({}), { steps: [], seed: 0 });

function withPrivacy(tensors: readonly TrainableTensor[]): PrivacyFacts {
  const privacy = { clipNorm: 1, noiseMultiplier: 1, maxParticipations: 9 };
  return { privacy, tensors, weighting: 'uniform', fixedPoint: { fractionBits: 30 } };
}

/** With the optimizer that it minds least. */
function onKind(record: BoundMethod, kind: BoundTuning) {
  const tuning = orUndefined(() => record.tuning(kind, layout as ModelLayout, RUN));
  if (tuning === undefined) return {};
  const choices = [ADAMW, SGD].map((optimizer) => {
    const facts = { ...FACTS, optimizer, tensors: tuning.tensors };
    return { facts, needs: [...record.preconditions(facts)] };
  });
  const best = choices[1]!.needs.length < choices[0]!.needs.length ? choices[1]! : choices[0]!;
  const asksOfOptimizer = choices[0]!.needs.filter((need) => !best.needs.includes(need));
  return { tuning, facts: best.facts, needs: best.needs, asksOfOptimizer };
}

function trafficOf(record: BoundMethod, tuning: BoundTuning, kind: BoundTuning): Traffic {
  const reference = bindMethod(fedavg, {});
  const own = bytesOf(record, tuning);
  const fedavgBytes = bytesOf(reference, kind).up;
  return {
    upBytes: own.up,
    downBytes: own.down,
    fedavgBytes,
    trained: trainedBy(record, tuning),
    fedavgTrained: trainedBy(reference, kind),
  };
}

const ROUNDS = [1, 2, 3, 4];

function bytesOf(record: BoundMethod, { tensors }: BoundTuning): { up: number; down: number } {
  const pairs = ROUNDS.map((round) => {
    const owner = `owner-${round}`;
    return {
      up: encodedUpdateBytes(plain, record.wire(tensors, round, owner)),
      down: sentDownBytes({ method: record, tensors }, { seed: 1, round, owner }),
    };
  });
  const mean = (of: (pair: (typeof pairs)[number]) => number) =>
    pairs.reduce((sum, pair) => sum + of(pair), 0) / pairs.length;
  return { up: mean(({ up }) => up), down: mean(({ down }) => down) };
}

function trainedBy(record: BoundMethod, { tensors, untrained }: BoundTuning): number {
  const trained = (tensor: TrainableTensor, round: number) =>
    ['shared', 'personal'].includes(record.role(tensor, round)) && untrained?.has(tensor.name) !== true;
  const counts = ROUNDS.map((round) =>
    tensors.filter((tensor) => trained(tensor, round)).reduce((sum, { shape }) => sum + sizeOf(shape), 0),
  );
  return counts.reduce((sum, count) => sum + count, 0) / counts.length;
}

/** A record that cannot be asked something on the small model says so by throwing. */
function orUndefined<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}
