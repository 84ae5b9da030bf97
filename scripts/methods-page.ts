/** docs/methods.md: every registered method as its record tells it. What is asked of the records is in `method-facts.ts`. */

import { formatBytes } from '../packages/headwater/src/base/format.ts';
import {
  exampleLevelOf,
  METHOD_PROPERTIES,
  type Method,
  type MethodProperty,
} from '../packages/headwater/src/federation/method.ts';
import { methods } from '../packages/headwater/src/federation/methods/registry.ts';
import { shapeOf } from '../packages/headwater/src/recipe/describe.ts';
import { keyRows } from '../packages/headwater/src/recipe/reference-page.ts';
import { type MethodFacts, methodFacts, PRIVACY, ROBUST } from './method-facts.ts';
import { resultsByMethod } from './results-page.ts';

const INTRO = [
  '# Federated methods',
  '',
  'Made by `npm run docs` from the records themselves. `federation.method: { kind: … }` in a recipe picks one.',
  '',
  '*Up*, *down* and *trained* are what a client sends, receives and trains in a round with the method’s default options, as multiples of FedAvg with the same tuning: asked of the record on a model of 260 thousand weights (`lora` of rank 8 on all linear modules where the method takes it), mean over four rounds and owners, headers of files included (they matter where little travels). Sizes that hang on the dimensions of the model (residuals of the base, counts of seeds, states of a search) have another ratio on a large one; `headwater plan` says it for yours, and every run measures it.',
  '',
  'Memory of a client follows *trained*: five float32 copies of each trained number (value, gradient, two moments, update), beside weights and activations, which `headwater plan` estimates. Methods without back-propagation keep no activations for it; the estimate does not know that.',
  '',
  '*Client-level privacy*: whether `privacy.clientLevel` (clipping and noise) can bound what one client changes.',
  '',
  '*Robust rules*: whether `federation.robust` may take the place of its mean.',
  '',
  'What a method *declares* is proved by a contract test over all of them, which also shows a counterexample to each *not*:',
  '',
  ...Object.entries(METHOD_PROPERTIES).map(([property, words]) => `- *${property}*: ${words}.`),
  '',
  '*Results*: tables with what was measured here on shipped data ([results](results.md)). A method without one is held to its formulas and properties by tests alone; figures of its paper were not repeated.',
  '',
  '*Secure aggregation*: whether the server could do with masked sums. Whatever does not go together is refused before a run starts, in the words below.',
  '',
];

export async function methodsPage(): Promise<string> {
  const results = await resultsByMethod();
  const all = [...methods.values()].map((method) => ({
    method,
    facts: methodFacts(method),
    results: (results.get(method.id) ?? []).map((name) => `[${name}](results.md#${name})`),
  }));
  return `${[
    ...INTRO,
    row([
      'method',
      'what',
      'up',
      'down',
      'trained',
      'figures for',
      'secure aggregation',
      'client-level privacy',
      'robust rules',
      'results',
    ]),
    row(['---', '---', '---:', '---:', '---:', '---', '---', '---', '---', '---']),
    ...all.map(overview),
    '',
    ...all.flatMap(({ method, facts }) => section(method, facts)),
  ].join('\n')}\n`;
}

interface Told {
  readonly method: Method<unknown>;
  readonly facts: MethodFacts;
  /** Tables that have figures for it. */
  readonly results: readonly string[];
}

function overview({ method, facts, results }: Told): string {
  const { id, summary, secureAggregation } = method;
  const { traffic, kinds, refuses } = facts;
  const figures =
    traffic === undefined
      ? ['–', '–', '–']
      : [
          ratio(traffic.upBytes, traffic.fedavgBytes),
          ratio(traffic.downBytes, traffic.fedavgBytes),
          ratio(traffic.trained, traffic.fedavgTrained),
        ];
  const secure = secureAggregation === 'yes' ? 'yes' : 'no';
  const privacy = Object.hasOwn(refuses, PRIVACY) ? 'no' : 'yes';
  const robust = Object.hasOwn(refuses, ROBUST) ? 'no' : 'yes';
  return row([
    `[\`${id}\`](#${id})`,
    summary,
    ...figures,
    `\`${kinds[0] ?? '–'}\``,
    secure,
    privacy,
    robust,
    results.join(', '),
  ]);
}

function section(method: Method<unknown>, facts: MethodFacts): string[] {
  const { id, summary, source, secureAggregation, options } = method;
  const secure =
    secureAggregation === 'yes' ? 'masked sums are enough' : `no: ${secureAggregation.noBecause}`;
  const level = exampleLevelOf(method);
  const examples = level === 'yes' ? 'yes' : `no: ${level.noBecause}`;
  return [
    `## ${id}`,
    '',
    `${sentence(summary)} Source: ${source}.`,
    '',
    ...(Object.keys(shapeOf(options) ?? {}).length === 0 ? ['No options.'] : keyRows(options)),
    '',
    ...trafficLine(facts),
    `- Tuning: ${facts.kinds.map((kind) => `\`${kind}\``).join(', ') || 'none of the built-in kinds on the small model'}.`,
    `- Aggregation: ${method.aggregate?.kind === 'canonical' ? 'a rule over all updates together, in memory of the cohort' : 'exact weighted mean, in memory of one model'}. Secure aggregation: ${secure}.`,
    `- Privacy of single examples (\`privacy.exampleLevel\`): ${examples}.`,
    ...(method.reducesTo ?? []).map(
      ({ id: other, when, within }) =>
        `- With \`${JSON.stringify(when)}\` it is \`${other}\`${within === 'quantum' ? ', within the rounding of its sums' : ', bit for bit'}.`,
    ),
    ...declarations(method),
    ...[...facts.needs, ...facts.asksOfOptimizer].map((need) => `- Asks for more than defaults: ${need}.`),
    ...refusals(facts),
    '',
  ];
}

function declarations({ exceptions = {} }: Method<unknown>): string[] {
  const all = Object.keys(METHOD_PROPERTIES) as MethodProperty[];
  const has = all.filter((property) => exceptions[property] === undefined);
  return [
    `- Declares: ${has.map((property) => `*${property}*`).join(', ')}.`,
    ...all.flatMap((property) =>
      exceptions[property] === undefined ? [] : [`- Not *${property}*: ${exceptions[property]}.`],
    ),
  ];
}

function trafficLine({ traffic, kinds }: MethodFacts): string[] {
  if (traffic === undefined) return [];
  const { upBytes, downBytes } = traffic;
  return [
    `- On the small model with \`${kinds[0]}\`: ${formatBytes(Math.round(upBytes))} up and ${formatBytes(Math.round(downBytes))} down a client and round (FedAvg: ${formatBytes(Math.round(traffic.fedavgBytes))} each way).`,
  ];
}

/** Things refused for the same reasons stand together. */
function refusals({ refuses }: MethodFacts): string[] {
  const byReason = new Map<string, string[]>();
  for (const [what, reasons] of Object.entries(refuses)) {
    // Reasons name what was tried; without that they may be the same.
    const reason = reasons.join('; ').replaceAll(/(compression is|serverLearningRate is) [\w-]+/g, '$1 so');
    byReason.set(reason, [...(byReason.get(reason) ?? []), what]);
  }
  return [...byReason].map(([reason, what]) => `- Not with ${what.join(', ')}: ${reason}.`);
}

function ratio(value: number, reference: number): string {
  const share = value / reference;
  return `${share >= 0.0995 ? share.toFixed(2) : Number(share.toPrecision(2))}×`;
}

function sentence(text: string): string {
  return `${text[0]?.toUpperCase() ?? ''}${text.slice(1)}.`;
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
