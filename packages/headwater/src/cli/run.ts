/** `headwater run`: a recipe to its end, with progress on stderr and the comparison on stdout. */

import { Command } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import { formatDuration } from '../base/format.ts';
import { shippedRecipes } from '../recipe/shipped-node.ts';
import { writeReport } from '../report/write.ts';
import { privaciesOf } from '../runs/results.ts';
import type { Device } from '../runtime/executor.ts';
import { type FinishedRun, type RunOptions, run } from '../simulation/run.ts';
import { findRecipe } from './find-recipe.ts';
import { interruptSignal } from './interrupt.ts';
import { createPages } from './open-pages.ts';
import { codeExecutionOption, collect, deviceOption, jsonOption, wholeNumber } from './options.ts';
import { probeDevice } from './probe-device.ts';
import { createDisplay } from './progress.ts';
import { removeRun } from './remove-run.ts';
import { printComparison } from './show-comparison.ts';
import { paint, renderTable } from './style.ts';
import { printFiles } from './written-files.ts';

export interface RunCommandOptions {
  readonly out?: string;
  readonly resume?: true;
  readonly force?: true;
  readonly set: readonly string[];
  readonly plugin: readonly string[];
  readonly full?: true;
  readonly device?: Device;
  readonly workers?: number;
  readonly allowCodeExecution?: true;
  readonly open?: true;
  readonly json?: true;
}

export function runCommand(): Command {
  return new Command('run')
    .description('run a recipe: virtual clients on this machine, then the comparison and the report')
    .argument('[recipe]', 'YAML file, or the name of a recipe that comes with Headwater; omitted: list those')
    .option('--out <folder>', 'run folder (default: runs/<name of the recipe>)')
    .option('--resume', 'continue the run in the folder')
    .option('--force', 'delete the run in the folder and start again')
    .option('--set <path=value>', 'override a key of the recipe; may be repeated', collect, [])
    .option('--plugin <file>', 'module with methods, tuning kinds, tasks …; may be repeated', collect, [])
    .option('--full', 'test on all rows instead of a sample')
    .option('--workers <n>', 'worker threads; changes no bit', wholeNumber)
    .option('--open', 'show the run in the browser, also afterwards until Ctrl-C')
    .addOption(codeExecutionOption())
    .addOption(deviceOption())
    .addOption(jsonOption())
    .action(runRecipe);
}

async function runRecipe(given: string | undefined, options: RunCommandOptions): Promise<void> {
  if (given === undefined) return listRecipes();
  const recipe = findRecipe(given);
  await checkDevice(options.device);
  const display = createDisplay({ stream: process.stderr, nowMs: () => performance.now() });
  const interrupt = interruptSignal();
  const pages = createPages(display.say);
  try {
    const finished = await runOrReplace(recipe, options, {
      ...(options.out === undefined ? {} : { out: options.out }),
      resume: options.resume === true,
      plugins: options.plugin,
      allowCodeExecution: options.allowCodeExecution === true,
      overrides: overridesOf(options),
      onProgress(progress) {
        display.onProgress(progress);
        if (options.open && progress.type === 'opened') pages.show(progress.folder);
      },
      signal: interrupt.signal,
    });
    const report = await writeReport(finished.folder);
    display.stop();
    show(finished, report, options);
    if (options.open) pages.show(finished.folder);
    await pages.stay(interrupt.signal);
  } catch (error) {
    throw howToResume(error);
  } finally {
    display.stop();
    await pages.close();
    interrupt.release();
  }
}

/** Before a run folder is made: a device that cannot work would leave a run that cannot be continued. */
async function checkDevice(device: Device | undefined): Promise<void> {
  if (device === undefined || device === 'cpu') return;
  const { works, reason } = await probeDevice(device);
  if (works) return;
  throw new HeadwaterError('DEVICE_UNAVAILABLE', `${device} does not work on this machine: ${reason}`, {
    hint: '`headwater doctor` says which devices do.',
  });
}

/** Options that are keys of the recipe come after `--set`: they win. */
export function overridesOf({ set, device, full, workers }: RunCommandOptions): string[] {
  return [
    ...set,
    ...(device === undefined ? [] : [`device=${device}`]),
    ...(full === undefined ? [] : ['evaluation.full=true']),
    ...(workers === undefined ? [] : [`workers=${workers}`]),
  ];
}

/** With `--force` an existing run in the folder is deleted; the recipe has been read and found good by then. */
async function runOrReplace(
  recipe: string,
  { force, resume }: RunCommandOptions,
  options: RunOptions,
): Promise<FinishedRun> {
  try {
    return await run(recipe, options);
  } catch (error) {
    const exists =
      error instanceof HeadwaterError && error.code === 'RUN_EXISTS' && error.where !== undefined;
    if (force !== true || resume === true || !exists) throw error;
    await removeRun(error.where);
    return run(recipe, options);
  }
}

/** The very command that continues an interrupted run. */
function howToResume(error: unknown): unknown {
  if (!(error instanceof HeadwaterError) || error.code !== 'INTERRUPTED') return error;
  const words = process.argv.slice(2).filter((word) => word !== '--resume' && word !== '--force');
  const command = ['headwater', ...words.map(quoted), '--resume'].join(' ');
  return new HeadwaterError('INTERRUPTED', error.message, {
    hint: `Continue with: ${command}`,
    cause: error,
  });
}

function quoted(word: string): string {
  return /^[\w./=:@,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function show(
  { folder, resultFolder, results }: FinishedRun,
  report: string,
  { json }: RunCommandOptions,
): void {
  if (json) {
    console.log(JSON.stringify({ folder, resultFolder, report, results }));
    return;
  }
  printComparison(results);
  if (results.attack !== undefined) console.log(`\n${results.attack.statement}`);
  for (const { statement } of privaciesOf(results)) console.log(`\n${statement}`);
  if (results.release !== undefined) console.log(`\n${results.release.statement}`);
  const { wallSeconds } = results.timing;
  const files = { adapter: resultFolder, report, figures: `${folder}/metrics.jsonl` };
  console.log(`\n${paint.bold(results.name)} took ${formatDuration(1000 * wallSeconds)}`);
  printFiles(files);
}

function listRecipes(): void {
  const rows = shippedRecipes().map(({ name, description }) => [name, description]);
  console.log(renderTable({ head: ['recipes that come with Headwater', ''], rows, numeric: false }));
  console.log('\nheadwater run <name>, or the path of your own YAML file');
}
