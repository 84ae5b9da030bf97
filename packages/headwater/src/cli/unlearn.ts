/** `headwater unlearn`: takes an owner out of a finished run, measures what is left of it, and writes a receipt. */

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import { formatDuration } from '../base/format.ts';
import { chosenRound } from '../federation/stopping.ts';
import { logReceipt } from '../simulation/unlearning/log-receipt.ts';
import type { Forgetting } from '../simulation/unlearning/measure.ts';
import { openBench } from '../simulation/unlearning/measure.ts';
import { type Receipt, receiptOf } from '../simulation/unlearning/receipt.ts';
import { checkOwner, openStoredRun, paramsAfter } from '../simulation/unlearning/stored-run.ts';
import { UNLEARNING, type UnlearningMethod, unlearn } from '../simulation/unlearning/unlearn.ts';
import { writeFileAtomically } from '../storage/atomic-file.ts';
import { jsonOption, nonNegative, wholeNumber } from './options.ts';
import { createDisplay } from './progress.ts';
import { wrapped } from './show-comparison.ts';
import { paint, renderTable } from './style.ts';
import { receiptSigner } from './unlearn-signature.ts';

interface UnlearnCommandOptions {
  readonly owner: string;
  readonly method: UnlearningMethod | 'all';
  readonly out?: string;
  readonly every: number;
  readonly calibration: number;
  readonly steps: number;
  readonly rate: number;
  readonly tolerance: number;
  readonly beta: number;
  readonly repair: number;
  readonly factor: number;
  readonly store?: string;
  readonly json?: true;
}

const METHODS = Object.keys(UNLEARNING) as UnlearningMethod[];

export function unlearnCommand(): Command {
  return new Command('unlearn')
    .description('take an owner out of a finished run that kept its updates, and measure what is left of it')
    .argument('<run>', 'run folder, of a run with federation.keepUpdates')
    .requiredOption('--owner <name>', 'who is to be forgotten')
    .addOption(
      new Option('--method <method>', 'how; all: every one that applies, retraining first')
        .choices([...METHODS, 'all'])
        .default('retrain'),
    )
    .option('--out <folder>', 'where to (default: unlearned/OWNER in the run folder)')
    .option('--every <n>', 'federaser: replay every n-th round', wholeNumber, 1)
    .option('--calibration <share>', 'federaser: share of a round’s local steps', nonNegative, 0.5)
    .option('--steps <n>', 'ascent, npo: steps at most', wholeNumber, 40)
    .option('--rate <share>', 'ascent, npo: first step, over how far the run went', nonNegative, 0.02)
    .option(
      '--tolerance <share>',
      'ascent, npo, negation: by how much the others’ validation loss may grow',
      nonNegative,
      0.05,
    )
    .option('--beta <b>', 'npo: β', nonNegative, 0.1)
    .option('--repair <n>', 'ascent, npo: rounds of the others afterwards', nonNegative, 1)
    .option(
      '--factor <l>',
      'negation: times that the owner’s adapter is subtracted, at most',
      nonNegative,
      0.2,
    )
    .option('--store <place>', 'a coordinator’s store, whose operator key signs the receipts')
    .addOption(jsonOption())
    .action(run);
}

async function run(folder: string, options: UnlearnCommandOptions): Promise<void> {
  const sign = await receiptSigner(options.store);
  const display = createDisplay({ stream: process.stderr, nowMs: () => performance.now() });
  const stored = await openStoredRun(folder, display.onProgress).finally(display.stop);
  const { owner } = options;
  checkOwner(stored.state, owner);
  const out = options.out ?? join(folder, 'unlearned', owner);
  const bench = openBench(stored, owner);
  try {
    const chosen = chosenRound(stored.state)?.round ?? stored.state.closed.length;
    const before = await bench.measure([{ params: await stored.params(chosen), weight: 1 }]);
    let retrained: Forgetting | null = await measuredBefore(out);
    const receipts: Receipt[] = [];
    const logged: number[] = [];
    for (const method of options.method === 'all' ? METHODS : [options.method]) {
      process.stderr.write(`${method}: ${UNLEARNING[method]}\n`);
      const how = { ...options, method, share: options.calibration, out: join(out, method) };
      const unlearned = await unlearn(stored, bench, how).catch((error) => skipped(error, options));
      if (unlearned === undefined) continue;
      const after = await bench.measure(unlearned.model);
      if (method === 'retrain') retrained = after;
      const measures = { before, after, retrained };
      const receipt = receiptOf(stored, owner, unlearned, measures, paramsAfter(stored.state, chosen));
      const signed = await sign(receipt);
      await writeFileAtomically(join(out, method, 'receipt.json'), `${JSON.stringify(signed, null, 2)}\n`);
      logged.push(await logReceipt(folder, signed, stored.clock));
      receipts.push(receipt);
    }
    show(receipts, logged, options, out);
  } finally {
    await bench.close();
  }
}

/** With `all`, what does not apply to the run is said and left out. */
function skipped(error: unknown, { method }: UnlearnCommandOptions): undefined {
  if (method !== 'all' || !(error instanceof HeadwaterError) || error.code !== 'OPTION_INVALID') throw error;
  process.stderr.write(`  not here: ${error.message}\n`);
}

/** Of an earlier retraining in the same folder. */
async function measuredBefore(out: string): Promise<Forgetting | null> {
  const file = join(out, 'retrain', 'receipt.json');
  if (!existsSync(file)) return null;
  return (JSON.parse(await readFile(file, 'utf8')) as { receipt: Receipt }).receipt.measures.after;
}

function show(
  receipts: readonly Receipt[],
  logged: readonly number[],
  { json, owner }: UnlearnCommandOptions,
  out: string,
): void {
  if (json) return void console.log(JSON.stringify({ folder: out, receipts, logged }, null, 2));
  const percent = (value: number | undefined) =>
    value === undefined ? '–' : `${(100 * value).toFixed(1)} %`;
  const cells = ({ forget, heldOut, membership, retained }: Forgetting) => [
    `${forget.loss.toFixed(3)}, ${percent(forget.accuracy)}`,
    heldOut === null ? '–' : `${heldOut.loss.toFixed(3)}, ${percent(heldOut.accuracy)}`,
    membership?.toFixed(3) ?? '–',
    percent(retained?.accuracy),
  ];
  const first = receipts[0]!;
  const rows = [
    ['as trained', '', ...cells(first.measures.before), ''],
    ...receipts.map(({ method, exact, seconds, measures }) => [
      method,
      exact ? 'exact' : 'approximate',
      ...cells(measures.after),
      formatDuration(1000 * seconds),
    ]),
  ];
  const head = ['', '', `${owner}: trained on`, 'held out', 'membership AUC', 'others', 'time'];
  console.log(renderTable({ head, rows }));
  for (const { method, statement } of receipts) console.log(paint.dim(wrapped(`${method}: ${statement}`)));
  console.log(
    paint.dim(
      wrapped(
        'An approximate method is as good as it looks here beside retraining, and no better: nothing is proven.',
      ),
    ),
  );
  const entries = receipts.map(({ method }, i) => `${method} is entry ${logged[i]}`).join(', ');
  console.log(
    `In the run’s transparency log: ${entries} (headwater audit log RUN --receipt FILE proves it).`,
  );
  console.log(out);
}
