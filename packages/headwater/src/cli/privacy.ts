/** `headwater privacy`: what noise guarantees, and how much of it a promise takes. Computes from numbers, reads no run. */

import { Command, InvalidArgumentError, Option } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import { type PrivacyGuarantee, privacyGuarantee } from '../privacy/accounting/account.ts';
import { calibrateNoise, TOLERANCE } from '../privacy/accounting/calibrate.ts';
import { guaranteeStatement, PRIVACY_UNITS, type PrivacyUnit } from '../privacy/accounting/statement.ts';
import {
  NEIGHBOURS,
  type Neighbours,
  type PrivacySteps,
  type Sampling,
} from '../privacy/accounting/steps.ts';
import { treeSteps } from '../privacy/accounting/tree.ts';
import { jsonOption, nonNegative, wholeNumber } from './options.ts';
import { paint, renderTable } from './style.ts';

interface SharedOptions {
  readonly steps: number;
  readonly delta: number;
  readonly samplingRate?: number;
  readonly sampleSize?: number;
  readonly population?: number;
  readonly tree?: true;
  readonly trees: number;
  readonly neighbours?: Neighbours;
  readonly unit: PrivacyUnit;
  readonly json?: true;
}

export function privacyCommand(): Command {
  return new Command('privacy')
    .description('say what noise guarantees, or how much of it a promise takes')
    .addCommand(epsilonCommand())
    .addCommand(noiseCommand());
}

function epsilonCommand(): Command {
  const command = new Command('epsilon')
    .description('the guarantee (ε, δ) of so many noisy releases')
    .requiredOption(
      '--noise-multiplier <z>',
      'standard deviation of the noise over the clip norm',
      nonNegative,
    );
  return withSharedOptions(command).action(epsilon);
}

function noiseCommand(): Command {
  const command = new Command('noise')
    .description('the least noise that keeps within ε')
    .requiredOption('--epsilon <e>', 'the promise for all releases together', nonNegative);
  return withSharedOptions(command).action(noise);
}

function withSharedOptions(command: Command): Command {
  return command
    .requiredOption('--steps <n>', 'releases: rounds, or optimizer steps for examples', wholeNumber)
    .requiredOption('--delta <p>', 'probability that the factor e^ε leaves open, such as 1e-5', nonNegative)
    .option(
      '--sampling-rate <q>',
      'Poisson sampling: probability of each record, drawn in secret',
      probability,
    )
    .option('--sample-size <n>', 'sampling without replacement: so many of --population', wholeNumber)
    .option('--population <n>', 'number of records; delta must not exceed its inverse', wholeNumber)
    .option('--tree', 'DP-FTRL: the steps are the leaves of a tree; no sampling')
    .option('--trees <n>', 'with --tree: trees that a record takes part in', wholeNumber, 1)
    .addOption(
      new Option(
        '--neighbours <kind>',
        'data sets that must look alike (default: add-remove; with --sample-size replace-one)',
      ).choices(NEIGHBOURS),
    )
    .addOption(new Option('--unit <unit>', 'what a record is').choices(PRIVACY_UNITS).default('client'))
    .addOption(jsonOption());
}

function probability(text: string): number {
  const value = nonNegative(text);
  if (value > 1) throw new InvalidArgumentError('expected a number from 0 to 1.');
  return value;
}

function epsilon(options: SharedOptions & { readonly noiseMultiplier: number }): void {
  const question = { ...shared(options), releases: [withNoise(options, options.noiseMultiplier)] };
  show(privacyGuarantee(question), options, options.noiseMultiplier);
}

function noise(options: SharedOptions & { readonly epsilon: number }): void {
  const { noiseMultiplier: _, ...release } = withNoise(options, 1);
  const question = { ...shared(options), targetEpsilon: options.epsilon, releases: [release] };
  const { noiseMultiplier, guarantee } = calibrateNoise(question);
  const rounded = Math.ceil(noiseMultiplier * 1e4) / 1e4;
  if (!options.json)
    console.log(`${paint.bold(`noise multiplier ${rounded}`)} (at most ${TOLERANCE * 100} % too much)\n`);
  show(guarantee, options, noiseMultiplier);
}

function shared(options: SharedOptions) {
  const { delta, population } = options;
  const neighbours: Neighbours =
    options.neighbours ?? (options.sampleSize === undefined ? 'add-remove' : 'replace-one');
  return { delta, neighbours, ...(population !== undefined && { population }) };
}

function withNoise(options: SharedOptions, noiseMultiplier: number): PrivacySteps {
  const { steps, trees, tree } = options;
  const sampling = samplingOf(options);
  if (!tree) return { sampling, noiseMultiplier, steps };
  if (sampling.kind !== 'none')
    throw new HeadwaterError(
      'OPTION_INVALID',
      '--tree with sampling: no bound is proven for both together.',
      {
        hint: 'Leave out --sampling-rate and --sample-size: a tree needs no sampling.',
      },
    );
  return treeSteps({ noiseMultiplier, leaves: steps, trees });
}

function samplingOf({ samplingRate: rate, sampleSize: size, population }: SharedOptions): Sampling {
  if (rate !== undefined && size !== undefined)
    throw new HeadwaterError(
      'OPTION_INVALID',
      '--sampling-rate and --sample-size: a round samples one way.',
      {
        hint: 'Give the one that describes how records are drawn.',
      },
    );
  if (rate !== undefined) return { kind: 'poisson', rate };
  if (size === undefined) return { kind: 'none' };
  if (population === undefined)
    throw new HeadwaterError('OPTION_INVALID', '--sample-size without --population: of how many?');
  return { kind: 'fixed-size', size, population };
}

function show(guarantee: PrivacyGuarantee, options: SharedOptions, noiseMultiplier: number): void {
  const statement = guaranteeStatement(guarantee, options.unit);
  const unsampled = withoutSecrecy(guarantee, options, noiseMultiplier);
  if (options.json) {
    const epsilonIfSampleKnown = unsampled === undefined ? {} : { epsilonIfSampleKnown: unsampled.epsilon };
    const all = { noiseMultiplier, unit: options.unit, ...guarantee, ...epsilonIfSampleKnown, statement };
    return void console.log(JSON.stringify(all, null, 2));
  }
  console.log(`${statement}\n`);
  if (unsampled !== undefined)
    console.log(
      `This counts on nobody knowing who was sampled. To whoever knows, ε is ${figure(unsampled.epsilon)}.\n`,
    );
  console.log(renderTable({ head: ['accountant', 'ε at least', 'ε at most', ''], rows: rowsOf(guarantee) }));
}

/** The guarantee towards somebody who sees which records were in which release: that of no sampling. */
function withoutSecrecy(
  { neighbours, delta }: PrivacyGuarantee,
  options: SharedOptions,
  noiseMultiplier: number,
): PrivacyGuarantee | undefined {
  if (samplingOf(options).kind === 'none') return undefined;
  const { steps } = options;
  return privacyGuarantee({
    neighbours,
    delta,
    releases: [{ sampling: { kind: 'none' }, noiseMultiplier, steps }],
  });
}

function rowsOf({ bounds, accountant }: PrivacyGuarantee): string[][] {
  const { rdp, prv, gaussian } = bounds;
  const mark = (name: string) => (name === accountant ? '← counts' : '');
  const rows = [[`Rényi (order ${rdp.order})`, '', figure(rdp.epsilon), mark('rdp')]];
  if (prv !== undefined)
    rows.push(['privacy random variables', figure(prv.lower), figure(prv.upper), mark('prv')]);
  if (gaussian !== undefined)
    rows.push(['exact (no sampling)', figure(gaussian), figure(gaussian), mark('gaussian')]);
  return rows;
}

function figure(epsilon: number): string {
  return epsilon === Number.POSITIVE_INFINITY ? '∞' : epsilon.toFixed(4);
}
