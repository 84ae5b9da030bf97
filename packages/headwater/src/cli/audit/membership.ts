/** `headwater audit membership`: whether a result tells its training examples from others, by four attacks. */

import { deflateSync } from 'node:zlib';
import { Command } from 'commander';
import { HeadwaterError } from '../../base/errors.ts';
import { rng, sampled } from '../../base/random.ts';
import { loadDataset } from '../../data/dataset-node.ts';
import { stratifiedSplit } from '../../data/split.ts';
import { tokenizeExamples } from '../../data/tokenize.ts';
import type { Example, TokenizedExample } from '../../data/types.ts';
import { codecOf } from '../../jobs/prepare.ts';
import {
  FALSE_POSITIVE_RATE,
  minKMean,
  type SeparationInterval,
  separation,
} from '../../privacy/audit/membership.ts';
import { createRunner } from '../../training/runner.ts';
import { tokenLosses } from '../../training/token-losses.ts';
import { collect, jsonOption, wholeNumber } from '../options.ts';
import { renderTable } from '../style.ts';
import { printGuidance } from './guidance.ts';
import { type AuditSubject, openSubject } from './subject.ts';

interface MembershipOptions {
  readonly adapter?: string;
  readonly examples: number;
  readonly set: readonly string[];
  readonly json?: true;
}

export function membershipCommand(): Command {
  return new Command('membership')
    .description('membership inference on a run’s result: loss, Min-K%, zlib ratio, ratio to the model alone')
    .argument('<run-or-recipe>', 'run folder (its adapter), or a recipe with --adapter')
    .option('--adapter <folder>', 'PEFT adapter to audit instead of the run’s result')
    .option('--examples <n>', 'at most so many of each: trained on, and held out', wholeNumber, 300)
    .option('--set <path=value>', 'override a key of the recipe; may be repeated', collect, [])
    .addOption(jsonOption())
    .action(audit);
}

async function audit(given: string, options: MembershipOptions): Promise<void> {
  const subject = await openSubject(given, options);
  try {
    if (subject.trained === undefined)
      throw new HeadwaterError('OPTION_INVALID', 'there is no adapter to audit', {
        where: given,
        hint: 'Give a run folder with a result, or --adapter FOLDER.',
      });
    const groups = await groupsOf(subject, options.examples);
    const scored = await scoresOf(subject, groups);
    const rows = Object.entries(scored).map(([attack, { members, others }]) => ({
      attack,
      ...separation(members, others, { random: rng(subject.prepared.recipe.seed, 'audit', attack) }),
    }));
    const counts = { members: groups.members.length, others: groups.others.length };
    if (options.json) console.log(JSON.stringify({ ...counts, rows }, null, 2));
    else print(rows, counts);
  } finally {
    await subject.close();
  }
}

interface Groups {
  readonly members: readonly Example[];
  readonly others: readonly Example[];
}

/** What the run trained on, and rows of its test (or validation) data, as the recipe reads and splits them. */
async function groupsOf({ prepared: { recipe }, registries }: AuditSubject, most: number): Promise<Groups> {
  const { data, seed } = recipe;
  const load = (source: typeof data.train) => loadDataset(source, data.schema, data, '.', registries.schemas);
  const given = await load(data.train);
  const split = stratifiedSplit(
    given,
    { validation: data.validationFraction, test: data.testFraction },
    seed,
  );
  const heldOut = data.test ?? data.validation;
  const others =
    heldOut === undefined ? [...split.test, ...split.validation].map((i) => given[i]!) : await load(heldOut);
  const members = split.train.map((i) => given[i]!);
  if (others.length === 0)
    throw new HeadwaterError(
      'DATA_INVALID',
      'the recipe holds no examples back, so there are none to compare with',
      {
        hint: 'Membership is told from examples of the same kind that were not trained on: data.test or data.testFraction.',
      },
    );
  const take = (examples: readonly Example[], who: string) =>
    examples.length <= most ? examples : sampled([...examples], most, rng(seed, 'audit', who));
  return { members: take(members, 'members'), others: take(others, 'others') };
}

type Scores = Readonly<
  Record<string, { readonly members: readonly number[]; readonly others: readonly number[] }>
>;

const MIN_K = 0.2;

async function scoresOf(subject: AuditSubject, { members, others }: Groups): Promise<Scores> {
  const { prepared, tuning, executor, fresh, trained } = subject;
  const { model, recipe } = prepared;
  const codec = await codecOf(model);
  const runner = createRunner({ model, tuning, executor });
  const sizes = { batchSize: recipe.evaluation.batchSize, maxLength: recipe.data.maxLength };
  const measure = async (examples: readonly Example[]) => {
    const { tokenized, source } = tokenizeExamples(examples, codec, { maxLength: recipe.data.maxLength });
    const own = await tokenLosses(runner, trained!, tokenized, sizes);
    const before = await tokenLosses(runner, fresh, tokenized, sizes);
    return tokenized.flatMap((example, i) =>
      example.numTargets === 0 ? [] : [figures(own[i]!, before[i]!, textOf(examples[source[i]!]!), example)],
    );
  };
  const [inside, outside] = [await measure(members), await measure(others)];
  const names = ['loss', 'min-k', 'zlib', 'reference'] as const;
  return Object.fromEntries(
    names.map((name) => [name, { members: inside.map((f) => f[name]), others: outside.map((f) => f[name]) }]),
  );
}

/** Higher: rather a member. */
function figures(
  own: readonly number[],
  before: readonly number[],
  text: string,
  { numTargets }: TokenizedExample,
) {
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  return {
    loss: -sum(own) / numTargets,
    'min-k': minKMean(
      own.map((nll) => -nll),
      MIN_K,
    ),
    zlib: -sum(own) / deflateSync(text).byteLength,
    reference: -sum(own) / Math.max(1e-9, sum(before)),
  };
}

/** What is learnt of it. */
function textOf(example: Example): string {
  if (example.kind === 'chat') return example.messages.at(-1)?.content ?? '';
  return example.kind === 'completion' ? example.completion : example.text;
}

const NAMES: Readonly<Record<string, string>> = {
  loss: 'loss',
  'min-k': 'Min-20 %',
  zlib: 'loss / zlib bytes',
  reference: 'loss / loss of the model alone',
};

function print(
  rows: readonly (SeparationInterval & { readonly attack: string })[],
  counts: { readonly members: number; readonly others: number },
): void {
  const percent = (x: number) => (100 * x).toFixed(1);
  console.log(`${counts.members} examples that were trained on, ${counts.others} that were not\n`);
  console.log(
    renderTable({
      head: ['attack', 'AUC', '95 %', `found at ${100 * FALSE_POSITIVE_RATE} % false alarms`, '95 %'],
      rows: rows.map((row) => [
        NAMES[row.attack] ?? row.attack,
        row.auc.toFixed(3),
        row.aucInterval.map((x) => x.toFixed(3)).join(' to '),
        `${percent(row.truePositives)} %`,
        row.truePositivesInterval.map(percent).join(' to '),
      ]),
    }),
  );
  printGuidance('membership');
}
