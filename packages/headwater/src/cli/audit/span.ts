/** `headwater audit span`: what a curious server reads off the first block of an update, one owner's or a sum. */

import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { HeadwaterError } from '../../base/errors.ts';
import type { Params } from '../../base/tensor.ts';
import type { TokenizedExample } from '../../data/types.ts';
import { decodeParams, differenceOf, weightedSum } from '../../federation/params.ts';
import {
  auditSpan,
  type Candidates,
  candidatesOf,
  type SpanResult,
  tokenOf,
} from '../../jobs/audits/span.ts';
import { viewExamples } from '../../jobs/shared-examples.ts';
import { trainingOptions } from '../../jobs/training-options.ts';
import { loadTokenizer } from '../../models/tokenizer-node.ts';
import { type FirstBlock, openFirstBlock } from '../../training/first-block.ts';
import { collect, jsonOption } from '../options.ts';
import { paint, renderTable } from '../style.ts';
import { printGuidance } from './guidance.ts';
import { type AuditSubject, openSubject } from './subject.ts';

interface SpanOptions {
  readonly owner?: string;
  readonly adapter?: string;
  readonly update?: string;
  readonly set: readonly string[];
  readonly json?: true;
}

interface Row {
  readonly update: string;
  readonly tokens: number | null;
  readonly seenIn: SpanResult['seenIn'];
  readonly rank: number;
  readonly found: number;
  /** Of `found`. */
  readonly right: number | null;
  /** Of the nearest ones, as many as there are tokens. */
  readonly nearestRight: number | null;
  readonly texts?: readonly string[];
}

export function spanCommand(): Command {
  return new Command('span')
    .description('which tokens of an owner a curious server reads off its updates (DAGER, first block)')
    .argument('<recipe-or-run>', 'whose model, tuning, training and data are meant')
    .option('--owner <name>', 'whose examples (default: the first)')
    .option(
      '--adapter <folder>',
      'params in a later round (default: the run’s result, or a round on another owner)',
    )
    .option('--update <file>', 'audit this stored update (safetensors) instead of making updates')
    .option('--set <path=value>', 'override a key of the recipe; may be repeated', collect, [])
    .addOption(jsonOption())
    .action(audit);
}

async function audit(given: string, options: SpanOptions): Promise<void> {
  const subject = await openSubject(given, options);
  try {
    const block = await openFirstBlock(subject.prepared.model, subject.executor);
    const { vocabSize } = subject.prepared.model.definition.shape;
    const { maxLength } = subject.prepared.recipe.data;
    const candidates = await candidatesOf(block, vocabSize, maxLength);
    const look = { subject, block, candidates };
    const rows =
      options.update === undefined ? await made(look, options.owner) : await stored(look, options.update);
    if (rows.length === 0) throw nothingToSee(given);
    if (options.json) return void console.log(JSON.stringify({ vocabSize, rows }, null, 2));
    print(rows, vocabSize);
  } finally {
    await subject.close();
  }
}

interface Look {
  readonly subject: AuditSubject;
  readonly block: FirstBlock;
  readonly candidates: Candidates;
}

function nothingToSee(where: string): HeadwaterError {
  return new HeadwaterError(
    'OPTION_INVALID',
    'nothing of the first block’s attention travels in these updates',
    {
      where,
      hint: 'The span audit reads LoRA factors or whole weights of query, key and value in the first block.',
    },
  );
}

const MOST_OWNERS = 8;

/** Gradients and updates as the recipe makes them: in a first round, and in a later one. */
async function made(look: Look, name: string | undefined): Promise<Row[]> {
  const { subject } = look;
  const { recipe, train } = subject.prepared;
  const owners = [...train.keys()].sort();
  const owner = name ?? owners[0]!;
  if (!train.has(owner))
    throw new HeadwaterError('OPTION_INVALID', `there is no owner "${owner}"`, {
      hint: `There are ${owners.slice(0, 12).join(', ')}.`,
    });
  const examplesOf = (of: string) =>
    viewExamples(train.get(of)!).slice(0, recipe.training.batchSize * recipe.federation.localSteps);
  const own = examplesOf(owner);
  const other = examplesOf(owners.find((one) => one !== owner) ?? owner);
  const later = subject.trained ?? (await trainedOn(subject, subject.fresh, other, 'later'));
  const rows: Row[] = [];
  for (const [when, params] of [
    ['first round', subject.fresh],
    ['later round', later],
  ] as const) {
    const gradient = async (examples: readonly TokenizedExample[], what: string) => {
      const { grads } = await subject.engine.gradients(params, examples, {
        maxLength: recipe.data.maxLength,
      });
      rows.push(...seen(look, { update: grads, params }, examples, `${when}: gradient of ${what}`));
    };
    await gradient(own.slice(0, 1), '1 example');
    await gradient(
      own.slice(0, recipe.training.batchSize),
      `${Math.min(own.length, recipe.training.batchSize)} examples`,
    );
    const updateOf = async (examples: readonly TokenizedExample[], of: string) =>
      differenceOf(await trainedOn(subject, params, examples, of), params);
    const update = await updateOf(own, owner);
    rows.push(
      ...seen(look, { update, params }, own, `${when}: update of ${recipe.federation.localSteps} steps`),
    );
    const cohort = owners.slice(0, MOST_OWNERS);
    if (cohort.length < 2) continue;
    const all = [];
    for (const owner of cohort) all.push({ params: await updateOf(examplesOf(owner), owner), factor: 1 });
    const theirs = cohort.flatMap(examplesOf);
    rows.push(
      ...seen(look, { update: weightedSum(all), params }, theirs, `${when}: sum of ${cohort.length} owners`),
    );
  }
  return rows;
}

async function trainedOn(
  { engine, prepared: { recipe } }: AuditSubject,
  params: Params,
  examples: readonly TokenizedExample[],
  who: string,
): Promise<Params> {
  const { localSteps: steps, rounds } = recipe.federation;
  const amounts = { steps, stepOffset: 0, totalSteps: steps * rounds };
  return (await engine.train(params, examples, trainingOptions(recipe, amounts, [recipe.seed, 'audit', who])))
    .params;
}

function seen(
  { subject, block, candidates }: Look,
  shown: { readonly update: Params; readonly params: Params },
  examples: readonly TokenizedExample[],
  update: string,
): Row[] {
  // The last token of a sequence predicts nothing.
  const truth = new Set(examples.flatMap(({ tokens }) => [...tokens.subarray(0, tokens.length - 1)]));
  const isRight = ({ candidate }: { readonly candidate: number }) =>
    truth.has(tokenOf(candidate, candidates));
  return auditSpan(block, subject.tuning, candidates, shown, truth.size).map(
    ({ seenIn, rank, inside, nearest }) => ({
      ...{ update, tokens: truth.size, seenIn, rank },
      found: inside.length,
      right: inside.filter(isRight).length,
      nearestRight: nearest.filter(isRight).length,
    }),
  );
}

const MOST_SHOWN = 200;

async function stored({ subject, block, candidates }: Look, file: string): Promise<Row[]> {
  const update = decodeParams(await readFile(file), file);
  const { tokenizer } = await loadTokenizer(subject.prepared.model.folder);
  const params = subject.trained ?? subject.fresh;
  return auditSpan(block, subject.tuning, candidates, { update, params }, 0).map(
    ({ seenIn, rank, inside }) => ({
      ...{ update: file, tokens: null, seenIn, rank, found: inside.length, right: null, nearestRight: null },
      texts: inside
        .slice(0, MOST_SHOWN)
        .map(({ candidate }) =>
          tokenizer.decode([tokenOf(candidate, candidates)], { skipSpecialTokens: false }),
        ),
    }),
  );
}

function print(rows: readonly Row[], vocabSize: number): void {
  const share = (part: number | null, of: number | null) =>
    part === null || of === null || of === 0 ? '' : `${Math.round((100 * part) / of)} %`;
  console.log(
    renderTable({
      head: [
        'update',
        'in',
        'tokens',
        'rank',
        'found',
        'of them right',
        'recovered',
        'nearest right',
        'chance',
      ],
      rows: rows.map(({ update, seenIn, tokens, rank, found, right, nearestRight }) => [
        update,
        seenIn,
        tokens === null ? '' : String(tokens),
        String(rank),
        String(found),
        share(right, found),
        share(right, tokens),
        share(nearestRight, tokens),
        share(tokens, vocabSize),
      ]),
    }),
  );
  for (const { texts } of rows)
    if (texts !== undefined) console.log(texts.map((text) => JSON.stringify(text)).join(' '));
  const worst = rows.reduce((most, { right, tokens }) => Math.max(most, (right ?? 0) / (tokens ?? 1)), 0);
  if (worst > 0.5)
    console.log(`\n${paint.bad('A curious server recovers most tokens of at least one of these updates.')}`);
  printGuidance('span');
}
