/** An estimate in the terminal. */

import { formatBytes, formatCount, formatDuration, significant } from '../base/format.ts';
import type { ClientPrivacy } from '../federation/client-privacy.ts';
import { type ExamplePrivacy, exampleGuarantee, exampleMechanism } from '../federation/example-privacy.ts';
import { stepsOf } from '../federation/plan.ts';
import { guaranteeFor } from '../federation/privacy-ledger.ts';
import { examplePrivacy } from '../jobs/example-privacy.ts';
import { clientPrivacy } from '../jobs/records.ts';
import { localEpochsOf } from '../jobs/training-options.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { Estimate } from '../runs/estimate.ts';
import { paint, renderTable } from './style.ts';

export function printEstimate(recipe: Recipe, estimate: Estimate, tokensPerSecond: number | undefined): void {
  const { name, federation } = recipe;
  const { owners, rounds, asked, counted } = estimate;
  const buffered = federation.mode.kind === 'buffered';
  const who = buffered
    ? `${asked} of ${owners} owners train at any time, every ${counted} updates make the next params, ${rounds} times`
    : `${rounds} rounds, each asks ${asked} of ${owners} owners and counts ${counted}`;
  console.log(`${paint.bold(name)}: ${who}; updates travel as ${federation.compression.kind}\n`);
  console.log(renderTable({ head: ['', 'client and round', 'round', 'run'], rows: amounts(estimate) }));
  console.log(`\n${renderTable({ head: ['', 'memory', 'disk or download'], rows: needs(estimate) })}\n`);
  const privacy = clientPrivacy(recipe, estimate.counted);
  if (privacy !== undefined) console.log(privacyNote(privacy, estimate.counted));
  const examples = examplePrivacy(recipe);
  if (examples !== undefined) console.log(examplesNote(recipe, examples, estimate.fewestExamples));
  for (const line of notes(estimate, tokensPerSecond, federation.earlyStopping !== undefined))
    console.log(paint.dim(line));
}

function privacyNote(privacy: ClientPrivacy, cohortSize: number): string {
  const { trust, clipNorm, noiseMultiplier, adaptive, maxParticipations, delta, tree, poisson } = privacy;
  const parts = trust === 'local' ? Math.sqrt(cohortSize) : 1;
  const std = significant((noiseMultiplier * clipNorm * parts) / cohortSize);
  const norm = adaptive === undefined ? clipNorm : `${clipNorm} at first, which then adapts`;
  const spent =
    delta === undefined
      ? 'No δ is given, so a deployment would be refused.'
      : `A deployment spends at most (ε, δ) = (${significant(guaranteeFor(privacy, delta, maxParticipations).epsilon)}, ${delta}) of an owner that ${poisson === undefined ? 'takes part' : `may be drawn, with probability ${significant(poisson.rate)},`} ${maxParticipations} times${tree === undefined ? '' : `, once in each tree of ${tree.leaves} rounds`}.`;
  return (
    `Privacy: updates are clipped to norm ${norm}; noise of standard deviation ${significant(noiseMultiplier)} · ${clipNorm} ${tree === undefined ? WHERE[trust ?? 'central'] : 'on every node of a tree over the rounds’ sums'}, ` +
    `${std} in each coordinate of the mean of ${cohortSize}. \`headwater run\` simulates it from the seed and claims no ε. ${spent}`
  );
}

const WHERE = {
  central: 'on their sum',
  distributed: 'on their sum, a part from each client',
  local: 'on each of them, by its client',
} as const;

/** For the owner with the fewest examples, whose steps take the largest share of them. */
function examplesNote(recipe: Recipe, privacy: ExamplePrivacy, numExamples: number | undefined): string {
  const { clipNorm, delta } = privacy;
  if (numExamples === undefined)
    return `Privacy of examples: gradients are clipped to norm ${clipNorm}; what it costs depends on how many examples owners have (leave --owners out).`;
  const { rounds, localSteps } = recipe.federation;
  const steps = stepsOf({ localSteps, localEpochs: localEpochsOf(recipe) }, { numExamples });
  const mechanism = exampleMechanism(privacy, { numExamples }, { steps, rounds });
  const { samplingRate, noiseMultiplier, maxTrainings } = mechanism;
  const trainings = Math.min(rounds, maxTrainings);
  const spent =
    delta === undefined
      ? 'No δ is given, so a deployment would be refused.'
      : `A deployment spends at most (ε, δ) = (${significant(exampleGuarantee(mechanism, delta, trainings).epsilon)}, ${delta}) of each example, in ${trainings} trainings of ${steps} steps.`;
  return (
    `Privacy of examples: gradients are clipped to norm ${clipNorm}; the owner with the fewest, ${formatCount(numExamples)}, draws each ` +
    `with probability ${significant(samplingRate)} and adds noise of standard deviation ${significant(noiseMultiplier)} · ${clipNorm} ` +
    `to the sum of a step. \`headwater run\` simulates it from the seed and claims no ε. ${spent}`
  );
}

function amounts({ client, round, total, cost, tokensAreAtMost }: Estimate): string[][] {
  const most = tokensAreAtMost ? '≤ ' : '';
  const time = (seconds: number | null) => (seconds === null ? '' : most + formatDuration(1000 * seconds));
  const price = (value: number | null) => (value === null ? '' : significant(value));
  const rows = [
    ['up', formatBytes(client.upBytes), formatBytes(round.upBytes), formatBytes(total.upBytes)],
    ['down', formatBytes(client.downBytes), formatBytes(round.downBytes), formatBytes(total.downBytes)],
    ['optimizer steps', formatCount(client.steps), '', formatCount(total.steps)],
    ['tokens', ...[client.tokens, round.tokens, total.tokens].map((count) => most + formatCount(count))],
    ['training time', time(client.seconds), time(client.seconds), time(total.wallSeconds)],
    ['of all clients', '', '', time(total.clientSeconds)],
    ['cost of transfer', '', '', price(cost.transfer)],
    ['cost of machines', '', '', price(cost.compute)],
  ];
  return rows.filter(([, ...cells]) => cells.some((cell) => cell !== ''));
}

function needs({ client, coordinator }: Estimate): string[][] {
  return [
    ['client', `about ${formatBytes(client.memory.total)}`, `${formatBytes(client.modelBytes)} once`],
    ['coordinator', `about ${formatBytes(coordinator.memoryBytes)}`, formatBytes(coordinator.diskBytes)],
  ];
}

function notes(
  { client, total, tokensAreAtMost }: Estimate,
  tokensPerSecond: number | undefined,
  stopsEarly: boolean,
): string[] {
  const { weights, training, activations, process } = client.memory;
  const sizes = [weights, training, activations, process].map(formatBytes);
  return [
    `Client memory: ${sizes[0]} weights, ${sizes[1]} trained tensors, ${sizes[2]} activations, ${sizes[3]} process.`,
    ...(total.evaluationBytes === 0
      ? []
      : [
          `In a deployment owners score their own held-out examples: at most ${formatBytes(total.evaluationBytes)} more down.`,
        ]),
    ...(tokensAreAtMost
      ? ['Tokens as if every example had data.maxLength; without --owners they are counted.']
      : []),
    tokensPerSecond === undefined
      ? 'Time: give --tokens-per-second, or --measure it here.'
      : `Time at ${formatCount(tokensPerSecond)} tokens a second, without transfer.`,
    ...(stopsEarly ? ['Early stopping may end the run before all rounds.'] : []),
  ];
}
