/** `headwater audit canary`: how exposed a planted secret is in an adapter, beside the model without it. */

import { Command, InvalidArgumentError, Option } from 'commander';
import { rng } from '../../base/random.ts';
import { tokenizeExamples } from '../../data/tokenize.ts';
import type { Example } from '../../data/types.ts';
import { exposure, rankOf } from '../../privacy/audit/exposure.ts';
import { DEVICES, type Device } from '../../runtime/executor.ts';
import { type OpenedModel, openModel } from '../open-model.ts';
import { collect, jsonOption, wholeNumber } from '../options.ts';
import { renderTable } from '../style.ts';
import { printGuidance } from './guidance.ts';

interface CanaryOptions {
  readonly model: string;
  readonly adapter: readonly string[];
  readonly template: string;
  readonly secret: string;
  readonly references: number;
  readonly seed: number;
  readonly device: Device;
  readonly json?: true;
}

export function canaryCommand(): Command {
  return new Command('canary')
    .description(
      'exposure of a planted secret (Carlini et al. 2019): its rank among secrets of the same form',
    )
    .requiredOption('--model <model>', 'folder or hub id of the base model')
    .option('--adapter <folder>', 'PEFT adapter to audit; without one only the model is', collect, [])
    .requiredOption('--template <text>', 'what was planted, with {} in the place of the secret', template)
    .requiredOption('--secret <text>', 'the planted secret; others draw its digits and letters anew')
    .option('--references <n>', 'secrets to compare with', wholeNumber, 1000)
    .option('--seed <n>', 'of these secrets', Number, 0)
    .addOption(new Option('--device <device>', 'where to compute').choices(DEVICES).default('cpu'))
    .addOption(jsonOption())
    .action(audit);
}

function template(text: string): string {
  if (text.split('{}').length === 2) return text;
  throw new InvalidArgumentError('expected one {} in the place of the secret.');
}

async function audit(options: CanaryOptions): Promise<void> {
  const secrets = [options.secret, ...alike(options.secret, options.references, options.seed)];
  const subjects = options.adapter.length === 0 ? [[]] : [[], options.adapter];
  const rows = [];
  for (const adapters of subjects) {
    const opened = await openModel({ model: options.model, adapters, device: options.device });
    const [loss, ...others] = await lossesOf(opened, options.template, secrets).finally(opened.close);
    rows.push({
      subject: adapters.length === 0 ? 'model alone' : 'with the adapter',
      rank: rankOf(loss!, others),
      exposure: exposure(loss!, others),
      most: Math.log2(others.length),
    });
  }
  if (options.json)
    return void console.log(JSON.stringify({ references: secrets.length - 1, rows }, null, 2));
  console.log(
    renderTable({
      head: ['', 'rank', 'of', 'exposure', 'at most'],
      rows: rows.map((row) => [
        row.subject,
        String(row.rank),
        String(secrets.length - 1),
        row.exposure.toFixed(2),
        row.most.toFixed(2),
      ]),
    }),
  );
  printGuidance('canary');
}

/** Nats of the secret given what stands before it, and of what stands behind it. */
async function lossesOf(opened: OpenedModel, text: string, secrets: readonly string[]): Promise<number[]> {
  const [before, behind] = text.split('{}') as [string, string];
  const examples = secrets.map(
    (secret): Example => ({
      ...{ kind: 'completion', prompt: before, completion: `${secret}${behind}`, open: true },
      meta: { where: 'canary' },
    }),
  );
  const maxLength = Math.min(512, opened.model.definition.shape.maxPositionEmbeddings);
  const { tokenized } = tokenizeExamples(examples, opened, { maxLength });
  const scores = await opened.engine.score(opened.params, tokenized, { batchSize: 16, maxLength });
  return scores.map(({ nll }) => nll);
}

const DIGITS = '0123456789';
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

/** Other secrets of the same form, none of them the secret itself. */
function alike(secret: string, count: number, seed: number): string[] {
  const random = rng(seed, 'audit', 'references');
  const draw = (letters: string) => letters[random.below(letters.length)]!;
  const one = () =>
    [...secret]
      .map((letter) => {
        if (DIGITS.includes(letter)) return draw(DIGITS);
        if (LETTERS.includes(letter)) return draw(LETTERS);
        return LETTERS.includes(letter.toLowerCase()) ? draw(LETTERS).toUpperCase() : letter;
      })
      .join('');
  const found = new Set<string>();
  for (let tries = 0; found.size < count && tries < 100 * count; tries++) {
    const other = one();
    if (other !== secret) found.add(other);
  }
  return [...found];
}
