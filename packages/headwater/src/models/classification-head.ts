/**
 * The classes of a classification head: those of the checkpoint (`id2label`), or those that the caller gives for a
 * checkpoint without one. Knows names of classes, no network.
 */

import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import type { RawConfig } from './config.ts';

export interface ClassificationHead {
  /** Class i is labels[i]. */
  readonly labels: readonly string[];
  /** The checkpoint does not hold this head: it starts from seeded values and must be trained. */
  readonly fresh: boolean;
}

/** Values of `architectures`, as transformers names its classes. */
export interface HeadClasses {
  /** With the classification head. */
  readonly classifier: string;
  /** Whose weights are an encoder to which a head can be added. */
  readonly plain: readonly string[];
}

/** Whether `define` needs to be told the classes. */
export function lacksHead(raw: RawConfig, { classifier }: HeadClasses): boolean {
  return !architecturesOf(raw).includes(classifier);
}

/**
 * `given`: the caller's classes. For a checkpoint with a head they may name its classes (LABEL_0 …); classes that are not
 * the checkpoint's ask for a fresh head. Throws MODEL_UNSUPPORTED, MODEL_INVALID, OPTION_INVALID.
 */
export function classificationHead(
  raw: RawConfig,
  classes: HeadClasses,
  given: readonly string[] | undefined,
  where: string,
): ClassificationHead {
  checkClasses(raw, classes, where);
  if (given !== undefined) checkLabels(given);
  if (lacksHead(raw, classes)) {
    if (given === undefined) throw noHead(where);
    return { labels: given, fresh: true };
  }
  const own = storedLabels(raw, where);
  if (given === undefined || sameList(given, own)) return { labels: own, fresh: false };
  if (own.length === given.length && own.every((label, i) => label === `LABEL_${i}`))
    return { labels: given, fresh: false };
  if (!sameList([...given].sort(), [...own].sort())) return { labels: given, fresh: true };
  throw new HeadwaterError(
    'OPTION_INVALID',
    `labels are ${shown(given)}, the model's head has ${shown(own)}`,
    { where, hint: 'Leave labels out, or give them in the order of the model.' },
  );
}

/** What config.json says of the saved model, where the source says something else. */
export function headConfig({ classifier }: HeadClasses, labels: readonly string[]): Record<string, unknown> {
  return {
    architectures: [classifier],
    id2label: Object.fromEntries(labels.map((label, i) => [String(i), label])),
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
    problem_type: 'single_label_classification',
  };
}

function architecturesOf({ architectures }: RawConfig): readonly unknown[] {
  return Array.isArray(architectures) ? architectures : [];
}

function checkClasses(raw: RawConfig, { classifier, plain }: HeadClasses, where: string): void {
  const named = architecturesOf(raw);
  const supported = [classifier, ...plain];
  if (named.length > 0 && !named.some((name) => supported.includes(String(name))))
    throw new HeadwaterError(
      'MODEL_UNSUPPORTED',
      `architectures is ${JSON.stringify(named)}; supported: ${supported.join(', ')}`,
      {
        where,
        hint: 'Encoders are trained to classify whole texts; choose a checkpoint of one of these classes.',
      },
    );
  const problem = raw.problem_type ?? 'single_label_classification';
  if (!lacksHead(raw, { classifier, plain }) && problem !== 'single_label_classification')
    throw new HeadwaterError(
      'MODEL_UNSUPPORTED',
      `problem_type is ${JSON.stringify(problem)}; supported: single_label_classification`,
      {
        where,
        hint: 'One class per text is learnt; regression and several labels per text are not supported.',
      },
    );
}

function checkLabels(labels: readonly string[]): void {
  const twice = labels.find((label, i) => labels.indexOf(label) !== i);
  if (twice !== undefined) throw new HeadwaterError('OPTION_INVALID', `labels names "${twice}" twice`);
  if (labels.length < 2)
    throw new HeadwaterError('OPTION_INVALID', `there is only one class, ${shown(labels)}`, {
      hint: 'A classifier needs at least two classes; check the label column of the data.',
    });
}

function noHead(where: string): HeadwaterError {
  return new HeadwaterError('MODEL_UNSUPPORTED', 'the model is an encoder without a classification head', {
    where,
    hint: 'Name its classes: `labels` in the recipe (headwater run takes them from the data by itself), --labels of a command.',
  });
}

const id2label = z.record(z.string().regex(/^\d+$/), z.string());

/** transformers writes neither `id2label` nor `num_labels` for its default of two classes. */
const DEFAULT_NUM_LABELS = 2;

function storedLabels(raw: RawConfig, where: string): string[] {
  const parsed = id2label.optional().safeParse(raw.id2label ?? undefined);
  const invalid = (message: string) => new HeadwaterError('MODEL_INVALID', message, { where });
  if (!parsed.success) throw invalid('id2label is no map from class numbers to names');
  const count =
    parsed.data === undefined
      ? Number(raw.num_labels ?? DEFAULT_NUM_LABELS)
      : Object.keys(parsed.data).length;
  const labels = Array.from({ length: count }, (_, i) =>
    parsed.data === undefined ? `LABEL_${i}` : parsed.data[String(i)],
  );
  const missing = labels.indexOf(undefined);
  if (missing >= 0) throw invalid(`id2label has ${count} classes, but no "${missing}"`);
  if (count < 2)
    throw new HeadwaterError('MODEL_UNSUPPORTED', 'the head has one output: it was made for regression', {
      where,
      hint: 'Give labels with the names of your classes to put a fresh head in its place.',
    });
  return labels as string[];
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}

function shown(labels: readonly string[]): string {
  return `${labels.slice(0, 8).join(', ')}${labels.length > 8 ? ` … (${labels.length})` : ''}`;
}
