/**
 * Self-distillation of examples: the model writes each answer again in its own words, from the task, the answer as it is
 * and an instruction. Each example is written once; what was written is kept as tensors of token ids. It knows no training.
 */

import { digestBytes } from '../base/canonical.ts';
import { HeadwaterError } from '../base/errors.ts';
import { bytesOf, type Params, type Tensor, tensor } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { Continuation, Writing } from './local-round.ts';

export interface Rewriting {
  /** Written behind task and answer; the model goes on from there. */
  readonly instruction: string;
  readonly maxNewTokens: number;
  readonly temperature: number;
}

export interface Rewritten {
  /** In the given order. */
  readonly examples: readonly TokenizedExample[];
  /** All answers known so far, for `known` of the next round. */
  readonly answers: Params;
}

/**
 * ỹ ~ f(· | x, y, c) for every example (x, y), f the network of `params`. An example keeps its answer where the model
 * writes nothing, or where x, y, c and the new answer do not fit into its positions. `known`: answers from before.
 */
export async function rewrittenExamples(
  writing: Writing | undefined,
  params: Params,
  examples: readonly TokenizedExample[],
  rewriting: Rewriting,
  known: Params = new Map(),
): Promise<Rewritten> {
  if (writing === undefined)
    throw new HeadwaterError('OPTION_INVALID', 'this model writes no answers of its own', {
      hint: 'Self-distillation needs a causal language model with its tokenizer.',
    });
  const answers = new Map(known);
  const fresh = [...new Map(examples.map((example) => [keyOf(example), example]))].filter(
    ([key]) => !answers.has(key),
  );
  const instruction = await writing.encode(rewriting.instruction);
  const asked = fresh.map(([key, example]) => ({
    key,
    example,
    text: question(example, instruction, rewriting),
  }));
  const fit = asked.filter(({ text }) => text.prompt.length + text.maxNewTokens <= writing.maxTokens);
  const { temperature } = rewriting;
  const texts = fit.map(({ text }) => text);
  const written = await writing.write(params, texts, { temperature, purpose: 'rewrite' });
  for (const { key, example } of asked) answers.set(key, idsOf(answerOf(example).tokens));
  for (const [i, { key, example }] of fit.entries())
    if (written[i]!.length > 0) answers.set(key, idsOf(ended(written[i]!, example, writing)));
  return { examples: examples.map((example) => withAnswer(example, answers.get(keyOf(example))!)), answers };
}

/** The last run of supervised tokens [begin, end). */
function answerOf({ tokens, supervised }: TokenizedExample) {
  const end = supervised.lastIndexOf(1) + 1;
  let begin = end;
  while (begin > 0 && supervised[begin - 1] === 1) begin -= 1;
  return { begin, end, tokens: tokens.subarray(begin, end) };
}

/** The new answer is never longer than the example was, so that it stays within the run's sequence length. */
function question(
  example: TokenizedExample,
  instruction: ArrayLike<number>,
  { maxNewTokens }: Rewriting,
): Continuation {
  const { end, tokens } = answerOf(example);
  const prompt = new Int32Array(end + instruction.length);
  prompt.set(example.tokens.subarray(0, end));
  prompt.set(instruction, end);
  return { prompt, maxNewTokens: Math.min(maxNewTokens, tokens.length) };
}

/** With the end token that the old answer had. */
function ended(written: Int32Array, example: TokenizedExample, { endTokens }: Writing): Int32Array {
  const last = answerOf(example).tokens.at(-1);
  if (last === undefined || !endTokens.includes(last)) return written;
  const room = Math.max(1, answerOf(example).tokens.length - 1);
  return Int32Array.of(...written.subarray(0, room), last);
}

function withAnswer(example: TokenizedExample, { data }: Tensor<'float32'>): TokenizedExample {
  const { begin, end } = answerOf(example);
  const { tokens, supervised } = example;
  const joined = [...tokens.subarray(0, begin), ...data, ...tokens.subarray(end)];
  const learnt = [...supervised.subarray(0, begin), ...data.map(() => 1), ...supervised.subarray(end)];
  const numTargets = learnt.reduce((sum, one) => sum + one, 0);
  return {
    ...example,
    tokens: Int32Array.from(joined),
    supervised: Uint8Array.from(learnt),
    numTargets,
  };
}

/** Token ids are far below 2²⁴: exact in float32. */
function idsOf(tokens: Int32Array): Tensor<'float32'> {
  return tensor('float32', [tokens.length], Float32Array.from(tokens));
}

function keyOf({ tokens, supervised }: TokenizedExample): string {
  return `answer:${digestBytes(bytesOf(tokens)).slice(0, 16)}${digestBytes(supervised).slice(0, 8)}`;
}
