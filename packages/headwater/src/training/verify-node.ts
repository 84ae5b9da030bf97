/**
 * `headwater verify`: a folder with a model (or the name of its base), an adapter and reference outputs of transformers
 * and PEFT, compared number by number. A folder may hold any part of it; what was compared and what was absent is said.
 */

import { access, readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import { rng } from '../base/random.ts';
import { sameShape, tensor } from '../base/tensor.ts';
import { openCheckpoint, readWeight } from '../models/checkpoint-node.ts';
import type { Model } from '../models/model.ts';
import { readSafetensors } from '../models/safetensors-node.ts';
import type { Executor } from '../runtime/executor.ts';
import { frozen } from '../tuning/frozen.ts';
import { full } from '../tuning/full.ts';
import type { BoundTuning, TuningKind } from '../tuning/kind.ts';
import type { Adapter } from '../tuning/peft-adapter.ts';
import { tuningKinds } from '../tuning/registry.ts';
import { readAdapterFolder } from './adapter-folder-node.ts';
import { createRunner } from './runner.ts';
import { type Comparison, compare, TOLERANCES, type VerifyReport } from './verify.ts';
import {
  INPUTS,
  named,
  optimizerSteps,
  type ReferenceInputs,
  realNumbers,
  referenceInputs,
  type Section,
  sections,
  type Tensors,
} from './verify-reference.ts';
import {
  compareGradients,
  compareGreedy,
  compareLogits,
  compareStart,
  compareSteps,
  type SectionResult,
  type Subject,
} from './verify-run.ts';
import { numVirtualTokens } from './virtual-tokens.ts';

export interface VerifyOptions {
  readonly kinds?: ReadonlyMap<string, TuningKind<unknown>>;
  /** Called after each comparison. */
  readonly onComparison?: (comparison: Comparison) => void;
}

/**
 * Throws VERIFY_FAILED when there is nothing to compare, MODEL_UNSUPPORTED or ADAPTER_INVALID when Headwater does not
 * compute this architecture or adapter. Differences above the tolerance are in the report (`pass`), not thrown.
 */
export async function verifyFolder(
  folder: string,
  executor: Executor,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  const settings = await readSettings(folder);
  const tensors = await readReference(folder);
  const model = await openCheckpoint(await baseFolder(folder, settings));
  const inputs = referenceInputs(tensors);
  const { base, adapter } = sections(tensors);
  const results = [
    ...(await verifyBase(model, executor, base, inputs)),
    ...(await verifyAdapter(folder, model, executor, adapter, tensors, settings, options.kinds)),
  ];
  return report(folder, model, tensors, results, options);
}

async function verifyBase(
  model: Model,
  executor: Executor,
  section: Section,
  inputs: ReferenceInputs,
): Promise<SectionResult[]> {
  if (section.tensors.size === 0) return [];
  const plain = await subject(model, frozen, executor);
  const logits = await compareLogits('base logits', section, plain, inputs);
  const results: SectionResult[] = [{ comparisons: logits === undefined ? [] : [logits], unmatched: [] }];
  if (inputs.hasLabels) {
    const hasGradients = named(section, 'grad.').size > 0;
    const trained = hasGradients
      ? await subject(model, full.bind(full.options.parse({}), model.definition), executor)
      : plain;
    results.push(await compareGradients('base', section, trained, inputs));
  }
  results.push(await compareGreedy('base', section, plain, inputs));
  return results;
}

async function verifyAdapter(
  folder: string,
  model: Model,
  executor: Executor,
  section: Section,
  tensors: Tensors,
  settings: Readonly<Record<string, unknown>>,
  kinds: ReadonlyMap<string, TuningKind<unknown>> = tuningKinds,
): Promise<SectionResult[]> {
  if (section.tensors.size === 0) return [];
  const adapter = await readAdapterFolder(join(folder, 'adapter'), model.definition, kinds);
  const { tuning, params } = trainedForm(adapter, section);
  const what = tuning.kind;
  const runner = createRunner({ model, tuning, executor });
  const adapted: Subject = { runner, params, shape: model.definition.shape };
  const inputs = referenceInputs(tensors, numVirtualTokens(tuning.virtual));
  const logits = await compareLogits(`${what} logits`, section, adapted, inputs);
  const results: SectionResult[] =
    tuning === adapter.tuning
      ? [compareStart(what, section, params)]
      : await verifyFile(what, section, adapter, { tuning, params }, { model, executor, inputs });
  if (logits !== undefined) results.push({ comparisons: [logits], unmatched: [] });
  if (inputs.hasLabels) {
    results.push(await compareGradients(what, section, adapted, inputs));
    for (const group of stepGroups(section))
      results.push(
        await compareSteps(what, group, section, adapted, inputs, optimizerSteps(settings[group])),
      );
  }
  results.push(await compareGreedy(what, section, adapted, inputs));
  return results;
}

/**
 * What the reference trains. Where that is not what the file holds (an encoder whose results are kept), the values are the
 * reference's own.
 */
function trainedForm(adapter: Adapter, section: Section): Pick<Adapter, 'tuning' | 'params'> {
  const start = named(section, 'param.');
  if ([...start.keys()].every((name) => adapter.params.has(name))) return adapter;
  const tuning = adapter.asTrained();
  const values = tuning.tensors.map(({ name, shape }) => {
    const found = start.get(name)?.value;
    const fits = found !== undefined && sameShape(found.shape, shape);
    return fits ? [[name, tensor('float32', shape, realNumbers(found))] as const] : [];
  });
  return values.some((value) => value.length === 0) ? adapter : { tuning, params: new Map(values.flat()) };
}

/** The file against what follows from the trained tensors, and the logits that it gives by itself. */
async function verifyFile(
  what: string,
  section: Section,
  { tuning, params }: Adapter,
  trained: Pick<Adapter, 'tuning' | 'params'>,
  { model, executor, inputs }: { model: Model; executor: Executor; inputs: ReferenceInputs },
): Promise<SectionResult[]> {
  const kept = trained.tuning.adapterTensors?.(trained.params) ?? trained.params;
  const pairs = [...params].map(([name, { data }]) => ({
    name,
    got: kept.get(name)?.data ?? [],
    reference: data,
  }));
  const names = [...named(section, 'param.').values()].map(({ name }) => name);
  const file = { ...compare(`${what} adapter file`, pairs, TOLERANCES.values), names };
  const read = { runner: createRunner({ model, tuning, executor }), params, shape: model.definition.shape };
  const logits = await compareLogits(`${what} logits from the file`, section, read, inputs);
  return [{ comparisons: [file, ...(logits === undefined ? [] : [logits])], unmatched: [] }];
}

/** `adamw3` and the like: groups of references after optimizer steps. */
function stepGroups(section: Section): string[] {
  return [...section.tensors.keys()].flatMap((name) => /^(adamw\d*)\.losses$/.exec(name)?.[1] ?? []);
}

async function subject(model: Model, tuning: BoundTuning, executor: Executor): Promise<Subject> {
  const params = await tuning.init(rng('verify'), (name) => readWeight(model.weights, name));
  const { shape, otherNames } = model.definition;
  return { runner: createRunner({ model, tuning, executor }), params, shape, otherNames };
}

const PARTS = ['logits', 'loss', 'gradients', 'AdamW steps', 'greedy tokens'];

function report(
  folder: string,
  model: Model,
  tensors: Tensors,
  results: readonly SectionResult[],
  { onComparison }: VerifyOptions,
): VerifyReport {
  const comparisons = results.flatMap((result) => result.comparisons);
  if (comparisons.length === 0)
    throw new HeadwaterError('VERIFY_FAILED', 'nothing could be compared', {
      where: folder,
      hint: `reference.safetensors holds ${[...tensors.keys()].slice(0, 6).join(', ') || 'no tensors'}; expected base.* or lora.* outputs.`,
    });
  for (const comparison of comparisons) onComparison?.(comparison);
  const compared = new Set(comparisons.flatMap(({ names }) => names));
  const unmatched = results.flatMap((result) => result.unmatched);
  const rest = [...tensors.keys()].filter((name) => !INPUTS.has(name) && !compared.has(name));
  const has = (part: string) => comparisons.some(({ what }) => what.includes(part));
  return {
    folder,
    architecture: model.definition.architecture,
    comparisons,
    absent: PARTS.filter((part) => !has(part)),
    unmatched,
    ignored: rest.filter((name) => !unmatched.includes(name)),
    pass: unmatched.length === 0 && comparisons.every(({ pass }) => pass),
  };
}

async function readReference(folder: string): Promise<Tensors> {
  const path = join(folder, 'reference.safetensors');
  if (!(await exists(path)))
    throw new HeadwaterError('VERIFY_FAILED', 'there is no reference.safetensors', {
      where: folder,
      hint: 'Give a folder with reference outputs of transformers and PEFT.',
    });
  return (await readSafetensors(path)).tensors;
}

async function readSettings(folder: string): Promise<Readonly<Record<string, unknown>>> {
  const path = join(folder, 'reference.json');
  if (!(await exists(path))) return {};
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    const message = `no valid JSON: ${(cause as Error).message}`;
    throw new HeadwaterError('VERIFY_FAILED', message, { where: path, cause });
  }
}

/** The folder itself, or the sibling that reference.json names as `base`. */
async function baseFolder(folder: string, settings: Readonly<Record<string, unknown>>): Promise<string> {
  if (await exists(join(folder, 'config.json'))) return folder;
  const { base } = settings;
  if (typeof base === 'string' && base === basename(base) && base !== '..')
    return resolve(folder, '..', base);
  throw new HeadwaterError('MODEL_NOT_FOUND', 'there is no config.json, and reference.json names no base', {
    where: folder,
  });
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
