/** `headwater compare`: an experiment to its end, with progress on stderr and the table on stdout. */

import { Command } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import {
  type CellProgress,
  type ComparedExperiment,
  compareExperiment,
} from '../experiments/run-experiment.ts';
import { detectionTable, summaryTable } from '../experiments/table.ts';
import type { Progress } from '../jobs/progress.ts';
import { shippedExperiments } from '../recipe/shipped-node.ts';
import { findExperiment } from './find-recipe.ts';
import { interruptSignal } from './interrupt.ts';
import { collect, jsonOption, wholeNumber } from './options.ts';
import { createDisplay } from './progress.ts';
import { removeRun } from './remove-run.ts';
import { wrapped } from './show-comparison.ts';
import { paint, renderTable } from './style.ts';
import { printFiles } from './written-files.ts';

interface CompareCommandOptions {
  readonly out?: string;
  readonly force?: true;
  readonly set: readonly string[];
  readonly plugin: readonly string[];
  readonly workers?: number;
  readonly json?: true;
}

export function compareCommand(): Command {
  return new Command('compare')
    .description('run an experiment: methods and settings × seeds over one recipe, then a table and a report')
    .argument(
      '[experiment]',
      'YAML file, or the name of an experiment that comes with Headwater; omitted: list those',
    )
    .option(
      '--out <folder>',
      'folder of the experiment (default: experiments/<name>); what it holds is not run again',
    )
    .option('--force', 'delete and repeat stored runs whose recipe has changed')
    .option(
      '--set <path=value>',
      'override a key of the base recipe; what an arm sets wins; may be repeated',
      collect,
      [],
    )
    .option('--plugin <file>', 'module with methods, tuning kinds, tasks …; may be repeated', collect, [])
    .option('--workers <n>', 'worker threads; changes no bit', wholeNumber)
    .addOption(jsonOption())
    .action(compare);
}

async function compare(given: string | undefined, options: CompareCommandOptions): Promise<void> {
  if (given === undefined) return listExperiments();
  const display = cellDisplay(process.stderr);
  const interrupt = interruptSignal();
  try {
    const compared = await compareExperiment(findExperiment(given), {
      ...(options.out === undefined ? {} : { out: options.out }),
      ...(options.force === undefined ? {} : { remove: removeRun }),
      overrides: [...options.set, ...(options.workers === undefined ? [] : [`workers=${options.workers}`])],
      plugins: options.plugin,
      onCell: display.onCell,
      onProgress: display.onProgress,
      signal: interrupt.signal,
    });
    display.stop();
    show(compared, options);
  } catch (error) {
    throw howToContinue(error);
  } finally {
    display.stop();
    interrupt.release();
  }
}

/** Each cell has a display of its own, below a line that names it. */
function cellDisplay(stream: NodeJS.WriteStream) {
  const create = () => createDisplay({ stream, nowMs: () => performance.now() });
  let display = create();
  return {
    onCell(progress: CellProgress) {
      display.stop();
      stream.write(`${cellLine(progress)}\n`);
      display = create();
    },
    onProgress: (progress: Progress) => display.onProgress(progress),
    stop: () => display.stop(),
  };
}

function cellLine({ type, cell, position, count, reason }: CellProgress): string {
  const what = `${position}/${count}  ${cell.arm}, seed ${cell.seed}`;
  if (type === 'stored') return `${what}: stored`;
  return type === 'failed' ? `${what} failed: ${reason}` : paint.bold(what);
}

function howToContinue(error: unknown): unknown {
  if (!(error instanceof HeadwaterError) || error.code !== 'INTERRUPTED') return error;
  return new HeadwaterError('INTERRUPTED', 'the experiment was stopped; what is finished is stored', {
    hint: 'The same command continues it.',
    cause: error,
  });
}

function show({ folder, comparison, files }: ComparedExperiment, { json }: CompareCommandOptions): void {
  if (json) {
    console.log(JSON.stringify({ folder, files, comparison }));
    return;
  }
  const { head, rows } = summaryTable(comparison);
  console.log(`\n${renderTable({ head, rows: rows.map(({ cells }) => cells) })}\n`);
  const detection = detectionTable(comparison);
  if (detection !== undefined)
    console.log(`${renderTable({ ...detection, rows: detection.rows.map(({ cells }) => cells) })}\n`);
  for (const note of comparison.notes) console.log(paint.dim(wrapped(note)));
  console.log('');
  printFiles({ ...files });
}

function listExperiments(): void {
  const rows = shippedExperiments().map(({ name, description }) => [name, description]);
  console.log(renderTable({ head: ['experiments that come with Headwater', ''], rows, numeric: false }));
  console.log('\nheadwater compare <name>, or the path of your own YAML file');
}
