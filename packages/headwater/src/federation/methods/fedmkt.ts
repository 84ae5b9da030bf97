/**
 * FedMKT: mutual knowledge transfer on public texts (Fan et al., COLING 2025, arXiv:2406.02224; program: FATE-LLM). Every owner
 * keeps an adapter of its own, trained on its own rows; what travels are the k likeliest next tokens at the targets of R public
 * rows, p_i = softmax(z_i / τ), and each row's ℓ_i = mean −log p(y). In round t an owner
 *
 *   1. distils what came down, about the public rows of round t − 1: L = (1 − λ) CE(y) + λ τ² KL(q ‖ p_τ),
 *   2. trains on its own rows, 3. sends its distributions on the public rows of round t.
 *
 * The server combines them into q (`min-ce`: per row those of the owner with the least ℓ; `mean`: weighted mean), distils q into
 * the adapter that the run releases, and hands q to the owners of round t + 1. With `selective` a row teaches a model only where
 * ℓ of the teacher is below the model's own. Public rows travel down as token ids, so that owners need no file.
 *
 * Other than in the paper: all models are adapters of one base model, so that no tokens are to be aligned (its edit distance
 * between tokenizers has no place here) and owners may differ in rank alone; server and owners learn from the same q, where
 * the paper sends down what the server's model says after its step; what of a distribution lies outside of the k tokens is
 * left out and the rest scaled to 1, as its program does. Reconstructed from a summary of paper and program.
 *
 * An owner that is first asked in a later round begins with the server's adapter of then; a deployment hands that out beside
 * what counts as sent. Steps and tokens in tables are those of private training.
 */

import { z } from 'zod';
import type { Params } from '../../base/tensor.ts';
import type { TokenizedExample } from '../../data/types.ts';
import type { Teacher } from '../../training/teacher.ts';
import { withExtraTensors } from '../../tuning/extra-tensors.ts';
import { leadingBlock, paddedTo } from '../blocks.ts';
import type { Learner, LocalOutcome, LocalRound, ServerRound, ServerTrained } from '../local-round.ts';
import { needsLora } from '../lora-factors.ts';
import type { Method, RunFacts } from '../method.ts';
import { needsRounds, needsWholeSteps } from '../needs.ts';
import { ownerRanks, rankMistakes, rankOf, shapeAtRank } from '../owner-ranks.ts';
import { overlaid, selectParams } from '../params.ts';
import {
  combineKnowledge,
  IDS,
  knowledgeTensors,
  LOSSES,
  PROBABILITIES,
  packKnowledge,
  packRows,
  ROWS,
  rowTensors,
  TAUGHT_ROWS,
  unpackKnowledge,
  unpackRows,
} from '../public-knowledge.ts';

const positive = z.int().positive();

const options = z.strictObject({
  rows: positive.default(32).describe('R: public rows of a round.'),
  length: z
    .int()
    .min(2)
    .default(128)
    .describe('Tokens of a public row; of longer ones those next to the targets.'),
  tokens: positive
    .default(32)
    .describe('T: targets of a public row about which distributions travel, from its first.'),
  topK: positive.default(128).describe('k: likeliest tokens of a distribution that travel; 8 bytes each.'),
  temperature: z.number().positive().default(1).describe('τ of the distributions.'),
  weight: z
    .number()
    .gt(0)
    .max(1)
    .default(0.1)
    .describe('λ: of the teacher in the loss on public rows; 1: their labels are not learnt from.'),
  combine: z
    .enum(['min-ce', 'mean'])
    .default('min-ce')
    .describe(
      'min-ce: per row the distributions of the owner with the lowest loss on it. mean: of all, weighted.',
    ),
  selective: z
    .boolean()
    .default(true)
    .describe('A public row teaches a model only where the teacher’s loss on it is below the model’s own.'),
  clientSteps: z
    .int()
    .nonnegative()
    .default(4)
    .describe(
      'Optimizer steps of an owner on public rows in a round, beside its localSteps; 0: it does not distil.',
    ),
  serverSteps: positive.default(8).describe('Optimizer steps of the server on public rows in a round.'),
  ranks: ownerRanks,
  scoreWith: z
    .enum(['server', 'own'])
    .default('server')
    .describe('What owners are scored with: the released adapter, or each its own.'),
});

type Options = z.infer<typeof options>;

export const fedmkt: Method<Options> = {
  id: 'fedmkt',
  summary:
    'distillation on public texts: token distributions travel, adapters stay; the server’s is released',
  source: 'Fan et al., COLING 2025, arXiv:2406.02224',
  options,
  secureAggregation: {
    noBecause: 'the server compares owners row by row, and sorts the tokens that they name',
  },
  exceptions: {
    'any-order': 'of owners who know a row equally well the first by name is heard',
    'one-owner': 'knowledge travels, and the owner learns from the server’s too',
    'still-round': 'what was known about the last public rows gives way to what is known about new ones',
  },
  preconditions: (facts, own) => [
    ...needsRounds(facts),
    ...needsWholeSteps(facts),
    ...needsPlainUpdates(facts),
    ...needsPublicRows(facts, own),
    ...(own.ranks === undefined ? [] : [...needsLora(facts.tensors), ...rankMistakes(facts, own)]),
  ],
  tuning: (bound, _layout, own) => withExtraTensors(bound, [...rowTensors(own), ...knowledgeTensors(own)]),
  initialParams: async (params, { publicExamples }, own) =>
    new Map([...params, [ROWS, packRows(publicExamples?.ofRound(1, own.rows) ?? [], own)]]),
  selectTrainable: ({ name }) => (SERVERS.has(name) ? 'given' : 'personal'),
  wire: (_tensors, _round, _owner, own) => knowledgeTensors(own),
  client: ownRound,
  aggregate: {
    kind: 'canonical',
    combine: (updates, own) =>
      combineKnowledge(
        updates.map(({ aggregationWeight, update }) => ({ weight: aggregationWeight, knowledge: update })),
        own,
        own.combine === 'mean' ? (_losses, weights) => weights : onlyLeast,
      ),
  },
  serverStep: ({ params, aggregate }) => ({
    params: new Map([...params, ...aggregate, [TAUGHT_ROWS, params.get(ROWS)!]]),
  }),
  serverTrain: distilledServer,
  ownParams: (params, { personal }, { scoreWith }) =>
    scoreWith === 'server' ? params : overlaid(params, personal),
};

const SERVERS: ReadonlySet<string> = new Set([ROWS, TAUGHT_ROWS, IDS, LOSSES, PROBABILITIES]);

/** 1 for the least, the first of equals. */
function onlyLeast(losses: readonly number[]): number[] {
  const least = losses.indexOf(Math.min(...losses));
  return losses.map((_, i) => (i === least ? 1 : 0));
}

function needsPlainUpdates({ compression = 'none', maxUpdateNorm }: RunFacts): string[] {
  return [
    ...(compression === 'none' ? [] : ['token ids travel: federation.compression must be none']),
    ...(maxUpdateNorm === undefined
      ? []
      : ['token ids travel, whose norm says nothing: leave federation.maxUpdateNorm out']),
  ];
}

function needsPublicRows({ numPublicExamples }: RunFacts, { rows }: Options): string[] {
  if (numPublicExamples === undefined || numPublicExamples === 0 || numPublicExamples >= rows) return [];
  return [`data.public has ${numPublicExamples} rows, but method.rows asks for ${rows} in a round`];
}

async function ownRound(local: LocalRound, own: Options): Promise<LocalOutcome> {
  const start = atRank(local.start, rankOf(local.owner, own));
  const { params: taught } = await distilled(local, start, own, own.clientSteps);
  const { params, stats } = await local.train(taught);
  const rows = unpackRows(local.start.get(ROWS)!);
  return {
    update: packKnowledge(await judged(local, params, rows, own), own),
    personal: selectParams(params, (name) => local.role(name) === 'personal'),
    stats,
  };
}

/** Rows of A and columns of B beyond a rank are zero, and stay zero in training. */
function atRank(params: Params, rank: number): Params {
  if (rank === Number.POSITIVE_INFINITY) return params;
  const cut = [...params].map(
    ([name, value]) => [name, leadingBlock(value, shapeAtRank({ name, shape: value.shape }, rank))] as const,
  );
  return paddedTo(params, new Map(cut));
}

async function distilledServer(server: ServerRound, own: Options): Promise<ServerTrained> {
  const { params, figures } = await distilled(server, server.params, own, own.serverSteps);
  const next = packRows(server.publicExamples.ofRound(server.round + 1, own.rows), own);
  return { params: new Map([...params, [ROWS, next]]), figures };
}

/** `params` after so many steps on the public rows that something is known about; the same where there are none. */
async function distilled(learner: Learner, params: Params, own: Options, steps: number) {
  const rows = unpackRows(params.get(TAUGHT_ROWS)!);
  const known = unpackKnowledge(params, own);
  const taught = rows.map((row, i) => (known[i] === undefined ? undefined : row));
  if (steps === 0 || taught.every((row) => row === undefined)) return { params, figures: {} };
  const before = await judged(learner, params, taught, own);
  const lossBefore = before.map((scored) => scored && scored.nll / scored.numTargets);
  const teaches = (i: number) => !own.selective || known[i]!.loss < lossBefore[i]!;
  const teachers = new Map<TokenizedExample, (typeof known)[number]>();
  for (const [i, row] of taught.entries()) if (row !== undefined && teaches(i)) teachers.set(row, known[i]);
  const figures = {
    taughtRows: teachers.size,
    teacherLoss: mean(known.map((one) => one?.loss)),
    serverLossBefore: mean(lossBefore),
  };
  // Without labels in the loss, rows that teach nothing have nothing to be learnt from.
  const examples = own.weight === 1 ? [...teachers.keys()] : taught.filter((row) => row !== undefined);
  if (examples.length === 0) return { params, figures };
  const { topK, temperature, weight } = own;
  const teacher: Teacher = { topK, temperature, weight, of: (row) => teachers.get(row) };
  const trained = await learner.train(params, { examples, steps, teacher });
  return { params: trained.params, figures };
}

async function judged(
  learner: Learner,
  params: Params,
  rows: readonly (TokenizedExample | undefined)[],
  { topK, temperature }: Options,
) {
  const there = rows.filter((row) => row !== undefined);
  const scored = await learner.distributions(params, there, { topK, temperature });
  let next = 0;
  return rows.map((row) => (row === undefined ? undefined : scored[next++]));
}

function mean(values: readonly (number | undefined)[]): number {
  const there = values.filter((value) => value !== undefined);
  return there.reduce((sum, value) => sum + value, 0) / Math.max(1, there.length);
}
