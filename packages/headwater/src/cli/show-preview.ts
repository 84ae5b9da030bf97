/** `headwater join --dry-run` for people: the run, the verdict, the examples with what is learnt, what leaves and what stays. */

import { formatBytes, formatCount } from '../base/format.ts';
import type { ShownPart } from '../client/look.ts';
import type { Preview } from '../client/preview-node.ts';
import { paint, renderTable } from './style.ts';

export interface PreviewContext {
  readonly policyFile: string | undefined;
  readonly mapping: ReadonlyMap<string, string>;
}

export function printPreview(preview: Preview, { policyFile, mapping }: PreviewContext): void {
  const sections = [
    heading(preview),
    runTable(preview),
    verdict(preview, policyFile),
    columns(preview, mapping),
    examples(preview),
    data(preview),
    leaving(preview),
    paint.dim('Nothing was joined. The same command without --dry-run joins.'),
  ];
  console.log(sections.join('\n\n'));
}

function heading({ manifest, url, operator, owner }: Preview): string {
  const name = owner === null ? 'a name that the coordinator gives' : `"${owner}"`;
  return `${paint.bold(manifest.run)} at ${url}, you would be ${name}\nsigned by the operator with the fingerprint ${operator}: the signature fits`;
}

function runTable(preview: Preview): string {
  const { manifest, recipe, ownNoise } = preview;
  const { federation, tuning, training, threadsPerSession } = recipe;
  const { method, compression, rounds, localSteps, weighting } = federation;
  const rows = [
    ['base model', `${manifest.model.source}  ${manifest.model.digest}`],
    ['trained', tuning.kind],
    [
      'method',
      `${method.kind}, updates travel as ${compression.kind === 'none' ? 'float32' : compression.kind}`,
    ],
    [
      'rounds',
      `${rounds} of ${localSteps} local steps, batches of ${training.batchSize}, weighted by ${weighting}`,
    ],
    ['smallest average', `${manifest.minCohort} updates`],
    ['privacy mechanisms', manifest.privacy.length === 0 ? 'none' : manifest.privacy.join(', ')],
    ...(ownNoise === null ? [] : [['your own noise', ownNoise]]),
    ['threads', String(threadsPerSession)],
    ['seed', String(manifest.seed)],
  ];
  return renderTable({ head: ['the run', ''], rows, numeric: false });
}

function verdict({ reasons }: Preview, policyFile: string | undefined): string {
  if (policyFile === undefined) return 'No policy was given (--policy FILE): everything is allowed.';
  if (reasons.length === 0) return paint.good(`The policy ${policyFile} accepts the run.`);
  const lines = reasons.map((reason) => `  ${reason}`);
  return [paint.bad(`The policy ${policyFile} refuses the run:`), ...lines].join('\n');
}

function columns({ columns: own, recipe }: Preview, mapping: ReadonlyMap<string, string>): string {
  const { kind, ...options } = recipe.data.schema;
  const settings = Object.entries(options).map(([key, value]) => `${key} ${JSON.stringify(value)}`);
  const others = [recipe.data.labelColumn, recipe.data.optionsColumn].filter((name) => name !== undefined);
  const rows = [
    ['your columns', own.join(', ')],
    ['read as', [kind, ...settings].join(', ')],
    ...(others.length === 0 ? [] : [['also read', others.join(', ')]]),
    ...[...mapping].map(([column, source]) => [`${column} is`, source]),
  ];
  return renderTable({
    head: ['columns (--map column=yours changes what is read)', ''],
    rows,
    numeric: false,
  });
}

function examples({ examples: shown }: Preview): string {
  const blocks = shown.map(({ where, parts }) => `${paint.dim(where)}\n${parts.map(partText).join('')}`);
  return [paint.bold('Your first examples as the model sees them; ⟦what is learnt⟧'), ...blocks].join('\n');
}

function partText({ text, supervised }: ShownPart): string {
  return supervised ? paint.good(`⟦${visible(text)}⟧`) : visible(text);
}

/** Data may hold anything; a terminal obeys escape sequences. */
function visible(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n\t]/gu, '�');
}

function data({ tokenization, split, recipe }: Preview): string {
  const { numTokenized, numTokens, numTargets, dropped } = tokenization;
  const { promptsTruncated, completionsTruncated, textsTruncated } = tokenization;
  const { validationSampleSize, sampleSize, full } = recipe.evaluation;
  const rows = [
    ['examples to train on', formatCount(split.train)],
    ['held out to validate, to test', `${formatCount(split.validation)}, ${formatCount(split.test)}`],
    [
      'scored of them at most',
      `${formatCount(validationSampleSize)}, ${full ? 'all' : formatCount(sampleSize)}`,
    ],
    ['sequences, tokens', `${formatCount(numTokenized)}, ${formatCount(numTokens)}`],
    ['tokens that are learnt', formatCount(numTargets)],
    [`prompts cut to ${recipe.data.maxLength} tokens`, formatCount(promptsTruncated)],
    ['answers cut', formatCount(completionsTruncated)],
    ['texts with a class cut', formatCount(textsTruncated)],
    ['left out (nothing to learn)', formatCount(dropped)],
  ];
  return renderTable({ head: ['your data', ''], rows });
}

function leaving({ metrics, updateBytes, manifest }: Preview): string {
  const { told, kept } = metrics;
  const loss = told.includes('loss') ? ', mean and last training loss' : '';
  const leaves = [
    'a public key made for this run, the version of this program',
    'how many examples and tokens you train on, how many examples you hold out',
    `after each training: one update of ${formatBytes(updateBytes)}; numbers of steps, examples and tokens${loss}`,
    ...(told.length === 0 ? [] : [`of your held-out examples, as sums over all of them: ${told.join(', ')}`]),
    'when training diverges: that it did',
  ];
  const stays = [
    'your files, texts and tokens; which examples are held out',
    'tensors that the method keeps with you, the optimizer’s state, your key',
    ...(kept.length === 0 ? [] : [`withheld by your policy: ${kept.join(', ')}`]),
  ];
  const list = (lines: readonly string[]) => lines.map((line) => `  ${line}`).join('\n');
  const note =
    manifest.privacy.length === 0
      ? '\nAn update is made from your data and can tell something about them: see docs/joining.md.'
      : '';
  return `${paint.bold('What would leave this machine')}\n${list(leaves)}\n${paint.bold('What stays')}\n${list(stays)}${note}`;
}
