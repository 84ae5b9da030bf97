/** `headwater audit one-run`: a lower bound on ε from canaries in the mechanism that makes a recipe's releases private. */

import { Command } from 'commander';
import { HeadwaterError } from '../../base/errors.ts';
import { exampleMechanism } from '../../federation/example-privacy.ts';
import { guaranteeFor } from '../../federation/privacy-ledger.ts';
import {
  type Audited,
  clientCanaries,
  exampleCanaries,
  type ScoredCanaries,
} from '../../jobs/audits/one-run.ts';
import { examplePrivacy } from '../../jobs/example-privacy.ts';
import { registriesWith } from '../../jobs/plugins-node.ts';
import { clientPrivacy } from '../../jobs/records.ts';
import { privacyGuarantee } from '../../privacy/accounting/account.ts';
import { calibrateNoise } from '../../privacy/accounting/calibrate.ts';
import { epsilonLowerBound, guessesFrom } from '../../privacy/audit/one-run.ts';
import { loadRecipe, pluginsNamedBy } from '../../recipe/load-node.ts';
import type { Recipe } from '../../recipe/schema.ts';
import { findRecipe } from '../find-recipe.ts';
import { collect, jsonOption, nonNegative, wholeNumber } from '../options.ts';
import { paint, renderTable } from '../style.ts';
import { printGuidance } from './guidance.ts';

interface OneRunOptions {
  readonly epsilon?: number;
  readonly delta: number;
  readonly rounds: number;
  readonly canaries: number;
  readonly guesses?: number;
  readonly dimension: number;
  readonly examples: number;
  readonly seed: number;
  readonly noise: boolean;
  readonly set: readonly string[];
  readonly json?: true;
}

export function oneRunCommand(): Command {
  return new Command('one-run')
    .description('a lower bound on ε from one run with many canaries (Steinke et al. 2023)')
    .argument('[recipe]', 'whose privacy is audited; without one: a release per round with --epsilon')
    .option('--epsilon <e>', 'without a recipe: the promise that the noise is calibrated for', nonNegative)
    .option('--delta <p>', 'without a recipe: δ', nonNegative, 1e-5)
    .option('--rounds <n>', 'without a recipe: releases that a client takes part in', wholeNumber, 1)
    .option('--canaries <m>', 'clients (or examples) that are in or out by a coin', wholeNumber, 1000)
    .option(
      '--guesses <r>',
      'of how many the auditor guesses; fixed beforehand (default: a fifth)',
      wholeNumber,
    )
    .option('--dimension <d>', 'numbers in a release', wholeNumber, 16_384)
    .option('--examples <n>', 'example level: examples of an owner, for its sampling rate', wholeNumber, 1000)
    .option('--without-noise', 'the same run without noise: the audit must find it out')
    .option('--seed <n>', 'of canaries and coins', Number, 0)
    .option('--set <path=value>', 'override a key of the recipe; may be repeated', collect, [])
    .addOption(jsonOption())
    .action(
      (recipe: string | undefined, { withoutNoise, ...options }: OneRunOptions & { withoutNoise?: true }) =>
        audit(recipe, { ...options, noise: withoutNoise !== true }),
    );
}

interface Mechanism {
  readonly unit: 'client' | 'example';
  readonly text: string;
  readonly epsilon: number;
  readonly delta: number;
  run(): ScoredCanaries;
}

async function audit(given: string | undefined, options: OneRunOptions): Promise<void> {
  const mechanism = given === undefined ? withoutRecipe(options) : await ofRecipe(given, options);
  const { scores, isIn } = mechanism.run();
  const asked = options.guesses ?? Math.ceil(options.canaries / 5);
  const guesses = { ...guessesFrom(scores, isIn, asked), delta: mechanism.delta };
  const lower = epsilonLowerBound(guesses);
  const holds = lower <= mechanism.epsilon;
  const { unit, text, epsilon, delta } = mechanism;
  const result = {
    unit,
    mechanism: text,
    noise: options.noise,
    ...guesses,
    lowerBound: lower,
    reported: { epsilon, delta },
    holds,
  };
  if (options.json) console.log(JSON.stringify(result, null, 2));
  else print(result);
  if (options.noise && !holds)
    throw new HeadwaterError(
      'VERIFY_FAILED',
      `the audit refutes ε = ${epsilon.toFixed(3)} with 95 % confidence: at least ${lower.toFixed(3)}`,
      {
        hint: 'One audit in twenty says so by chance; another --seed tells. If it says so again, the noise is not what it should be.',
      },
    );
}

function withoutRecipe(options: OneRunOptions): Mechanism {
  const { epsilon, delta, rounds } = options;
  if (epsilon === undefined)
    throw new HeadwaterError('OPTION_INVALID', 'neither a recipe nor --epsilon is given', {
      hint: 'headwater audit one-run --epsilon 2, or with a recipe that has privacy.',
    });
  const releases = [{ sampling: { kind: 'none' }, steps: rounds } as const];
  const question = { releases, neighbours: 'zero-out', delta, targetEpsilon: epsilon } as const;
  const { noiseMultiplier } = calibrateNoise(question);
  return clients(options, { clipNorm: 1, noiseMultiplier }, rounds, delta);
}

function clients(options: OneRunOptions, privacy: Audited, participations: number, delta: number): Mechanism {
  const { clipNorm, noiseMultiplier } = privacy;
  return {
    unit: 'client',
    text: `${releasesOf(privacy, participations)}, clip ${clipNorm}, noise multiplier ${noiseMultiplier.toFixed(4)}`,
    epsilon: guaranteeFor(privacy, delta, participations).epsilon,
    delta,
    run: () =>
      clientCanaries(
        options,
        { ...privacy, noiseMultiplier: options.noise ? noiseMultiplier : 0 },
        participations,
      ),
  };
}

function releasesOf({ tree, poisson }: Audited, count: number): string {
  if (tree !== undefined)
    return `${count} ${count === 1 ? 'tree' : 'trees'} over ${tree.leaves} releases, canaries in the first`;
  const drawn = poisson === undefined ? '' : `, each drawn with probability ${poisson.rate.toPrecision(3)}`;
  return `${count} releases${drawn}`;
}

async function ofRecipe(given: string, options: OneRunOptions): Promise<Mechanism> {
  const file = findRecipe(given);
  const registries = await registriesWith(await pluginsNamedBy(file, options.set));
  const recipe = await loadRecipe(file, { registries, overrides: options.set });
  const client = clientPrivacy(recipe, recipe.federation.cohortSize ?? options.canaries);
  const trust = recipe.privacy?.clientLevel?.trust ?? 'central';
  if (trust !== 'central')
    throw new HeadwaterError(
      'PRIVACY_INVALID',
      `this audit plants canaries in the coordinator’s release, but with trust: ${trust} owners add the noise`,
      {
        where: given,
        hint: 'Audit the same noise with --epsilon and --rounds, without a recipe.',
      },
    );
  if (client !== undefined) {
    const { adaptive: _, ...audited } = client;
    return clients(options, audited, client.maxParticipations, client.delta ?? options.delta);
  }
  const example = ofExamples(recipe, options);
  if (example !== undefined) return example;
  throw new HeadwaterError('PRIVACY_INVALID', 'the recipe has no privacy to audit', {
    where: given,
    hint: 'Give one with privacy.clientLevel or privacy.exampleLevel, or --epsilon without a recipe.',
  });
}

function ofExamples(recipe: Recipe, options: OneRunOptions): Mechanism | undefined {
  const privacy = examplePrivacy(recipe);
  if (privacy === undefined) return undefined;
  const { rounds, localSteps } = recipe.federation;
  const owner = { numExamples: options.examples };
  const { samplingRate, noiseMultiplier } = exampleMechanism(privacy, owner, { steps: localSteps, rounds });
  const delta = privacy.delta ?? options.delta;
  const steps = rounds * localSteps;
  const release = { sampling: { kind: 'poisson', rate: samplingRate }, noiseMultiplier, steps } as const;
  const { epsilon } = privacyGuarantee({ releases: [release], neighbours: 'add-remove', delta });
  const { clipNorm } = privacy;
  const z = options.noise ? noiseMultiplier : 0;
  return {
    unit: 'example',
    text: `${steps} steps, sampling rate ${samplingRate.toFixed(4)}, clip ${clipNorm}, noise multiplier ${noiseMultiplier.toFixed(4)}`,
    ...{ epsilon, delta },
    run: () => exampleCanaries(options, { clipNorm, noiseMultiplier: z, samplingRate, steps }),
  };
}

interface Result {
  readonly unit: string;
  readonly mechanism: string;
  readonly noise: boolean;
  readonly canaries: number;
  readonly guesses: number;
  readonly right: number;
  readonly lowerBound: number;
  readonly reported: { readonly epsilon: number; readonly delta: number };
  readonly holds: boolean;
}

function print(result: Result): void {
  const { unit, mechanism, noise, canaries, guesses, right, lowerBound, reported, holds } = result;
  console.log(`${paint.bold(`${unit} level`)}: ${mechanism}${noise ? '' : paint.warn(', WITHOUT NOISE')}\n`);
  console.log(
    renderTable({
      head: ['canaries', 'guesses', 'right', 'ε at least (95 %)', 'ε reported', 'δ'],
      rows: [
        [
          String(canaries),
          String(guesses),
          `${right} (${((100 * right) / guesses).toFixed(1)} %)`,
          lowerBound.toFixed(3),
          noise ? reported.epsilon.toFixed(3) : `${reported.epsilon.toFixed(3)} with noise`,
          String(reported.delta),
        ],
      ],
    }),
  );
  if (noise)
    console.log(
      holds
        ? paint.good('\nThe bound is within what is reported.')
        : paint.bad('\nThe bound is above what is reported.'),
    );
  else
    console.log(
      holds
        ? paint.bad('\nThe audit did not see that there is no noise.')
        : paint.good('\nThe audit sees that there is no noise.'),
    );
  printGuidance('oneRun');
}
