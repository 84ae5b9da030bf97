/** One model in both programs: exported, opened in llama.cpp, and continued greedily from the same tokens. */

import { join } from 'node:path';
import { exportAdapterGguf } from '../../packages/headwater/src/exports/gguf/export-adapter.ts';
import { exportModelGguf } from '../../packages/headwater/src/exports/gguf/export-model.ts';
import type { GgufTensorType } from '../../packages/headwater/src/exports/gguf/format.ts';
import type { WeightedAdapter } from '../../packages/headwater/src/exports/merged-weights.ts';
import type { Model } from '../../packages/headwater/src/models/model.ts';
import { createNodeExecutor } from '../../packages/headwater/src/runtime/onnx-node.ts';
import { createEngine } from '../../packages/headwater/src/training/engine-core.ts';
import { frozen } from '../../packages/headwater/src/tuning/frozen.ts';
import type { LlamaCpp } from './llama-cpp.ts';

export interface Workshop {
  readonly llamaCpp: LlamaCpp;
  readonly folder: string;
  /** Reports a comparison: what, and nothing or how the two differ. */
  readonly report: (what: string, difference: string | undefined) => void;
}

export interface Subject {
  readonly name: string;
  readonly model: Model;
  readonly adapter?: WeightedAdapter;
  readonly prompts: readonly (readonly number[])[];
  /** What Headwater continues each prompt with. */
  readonly expected: readonly Int32Array[];
}

const NEW_TOKENS = 16;
const GREEDY = {
  maxNewTokens: NEW_TOKENS,
  temperature: 0,
  topP: 1,
  topK: 0,
  stopTokenIds: [],
  seedPath: ['gguf'],
};

export async function compareMerged(shop: Workshop, subject: Subject, type: GgufTensorType): Promise<void> {
  const { name, model, adapter } = subject;
  const file = join(shop.folder, `${name}-${type}.gguf`);
  const { contextLength } = await exportModelGguf(model, adapter === undefined ? [] : [adapter], file, {
    type,
  });
  const what = `${name}, ${adapter === undefined ? 'base' : 'adapter merged'}, ${type}`;
  await compareTokens(shop, what, subject, { file, contextLength });
}

/** The base and its adapter as two files. */
export async function compareBesides(
  shop: Workshop,
  subject: Subject & { readonly adapter: WeightedAdapter },
  type: GgufTensorType,
): Promise<void> {
  const { name, model, adapter } = subject;
  const [base, lora] = [`${name}-beside-${type}`, `${name}-lora-${type}`].map((stem) =>
    join(shop.folder, `${stem}.gguf`),
  ) as [string, string];
  const { contextLength } = await exportModelGguf(model, [], base, { type });
  await exportAdapterGguf(model, adapter, lora, { type });
  await compareTokens(shop, `${name}, adapter beside the base, ${type}`, subject, {
    file: base,
    lora,
    contextLength,
  });
}

async function compareTokens(
  { llamaCpp, report }: Workshop,
  what: string,
  subject: Subject,
  { file, lora, contextLength }: { file: string; lora?: string; contextLength: number },
): Promise<void> {
  const session = await llamaCpp.open(file, lora === undefined ? {} : { lora });
  try {
    const differences: string[] = [];
    for (const [i, prompt] of subject.prompts.entries()) {
      const count = Math.min(NEW_TOKENS, contextLength - prompt.length);
      // A prompt beyond what the file declares is not for it.
      if (count <= 0) continue;
      const theirs = await session.greedy(prompt, count);
      const expected = subject.expected[i]!.subarray(0, count);
      if (theirs.join() !== expected.join())
        differences.push(`after [${prompt}] here [${expected}], llama.cpp [${theirs}]`);
    }
    report(
      `${what}: greedy tokens after ${subject.prompts.length} prompts equal`,
      differences.length === 0 ? undefined : differences.join('\n'),
    );
  } finally {
    await session.close();
  }
}

/** Every text must give the same tokens in both programs. */
export async function compareTexts(
  { llamaCpp, report }: Workshop,
  name: string,
  file: string,
  encode: (text: string) => Int32Array,
  texts: readonly string[],
): Promise<void> {
  const session = await llamaCpp.open(file);
  try {
    const differences = texts.flatMap((text) => {
      const [ours, theirs] = [encode(text).join(), session.tokenize(text).join()];
      return ours === theirs ? [] : [`${JSON.stringify(text)}: here [${ours}], llama.cpp [${theirs}]`];
    });
    report(
      `${name}: ${texts.length} texts give the same tokens`,
      differences.length === 0 ? undefined : differences.join('\n'),
    );
  } finally {
    await session.close();
  }
}

/** The same with what Headwater writes after each prompt. */
export async function withContinuations<S extends Omit<Subject, 'expected'>>(
  subject: S,
): Promise<S & { readonly expected: readonly Int32Array[] }> {
  const { model, adapter, prompts } = subject;
  const executor = createNodeExecutor({ threads: 1 });
  const { tuning, params } = adapter ?? { tuning: frozen, params: new Map() };
  const engine = createEngine({ model, tuning, executor });
  const result: Int32Array[] = [];
  for (const prompt of prompts) result.push(await engine.generate(params, Int32Array.from(prompt), GREEDY));
  await executor.dispose();
  return { ...subject, expected: result };
}
