/** `headwater classify`: the classes of texts, by an encoder with a classification head. */

import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import { framedTokens } from '../data/tokenize-class.ts';
import type { Device } from '../runtime/executor.ts';
import { type OpenedModel, openModel } from './open-model.ts';
import { collect, commaSeparated, deviceOption, jsonOption, wholeNumber } from './options.ts';
import { renderTable } from './style.ts';
import { weightedAdapterOption } from './weighted-adapters.ts';

interface ClassifyOptions {
  readonly adapter?: readonly string[];
  readonly labels?: readonly string[];
  readonly text: readonly string[];
  readonly top: number;
  readonly device: Device;
  readonly json?: true;
}

export function classifyCommand(): Command {
  return new Command('classify')
    .description(
      'tell the class of texts with an encoder; texts come from --text or as lines of standard input',
    )
    .argument('<model>', 'folder or hub id owner/name')
    .addOption(weightedAdapterOption('PEFT adapter to apply; may be given several times, with weights'))
    .option('--labels <names>', 'classes, for an encoder without head of its own: a,b,c', commaSeparated)
    .option('--text <text>', 'what to classify; may be repeated', collect, [])
    .option('--top <n>', 'show so many classes of each text', wholeNumber, 3)
    .addOption(deviceOption().default('cpu'))
    .addOption(jsonOption())
    .action(classify);
}

interface Answer {
  readonly text: string;
  /** Most likely first. */
  readonly classes: readonly { readonly label: string; readonly probability: number }[];
}

async function classify(source: string, options: ClassifyOptions): Promise<void> {
  const { adapter: adapters, labels, device, top } = options;
  const texts = options.text.length > 0 ? options.text : linesOfInput();
  const opened = await openModel({ model: source, adapters, device, labels });
  const answers: Answer[] = [];
  for (const text of texts) answers.push({ text, classes: await likeliest(opened, text, top) });
  await opened.close();
  if (options.json) for (const answer of answers) console.log(JSON.stringify(answer));
  else print(answers);
}

function linesOfInput(): string[] {
  if (process.stdin.isTTY)
    throw new HeadwaterError('OPTION_INVALID', 'there is no text', {
      hint: 'Give --text "…", or pipe the texts into this command, one a line.',
    });
  return readFileSync(0, 'utf8')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '');
}

async function likeliest(
  { engine, params, tokenizer, model }: OpenedModel,
  text: string,
  top: number,
): Promise<Answer['classes']> {
  const { classifier, shape } = model.definition;
  const { tokens } = framedTokens(text, tokenizer, shape.maxPositionEmbeddings);
  const logits = await engine.classify(params, tokens);
  const largest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const weights = Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights
    .map((weight, id) => ({ label: classifier?.labels[id] ?? String(id), probability: weight / total }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, top);
}

function print(answers: readonly Answer[]): void {
  const rows = answers.flatMap(({ text, classes }) =>
    classes.map(({ label, probability }, i) => [
      i === 0 ? text : '',
      label,
      `${(100 * probability).toFixed(1)} %`,
    ]),
  );
  console.log(renderTable({ head: ['text', 'class', 'probability'], rows, numeric: false }));
}
