/**
 * Orders for the generating thread from requests, and answers from its events: whole, or as server-sent events. Both
 * endpoints share all of it but the form of their JSON.
 */

import { randomUUID } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import type { GeneratedText, TextPiece, TextToken } from '../../training/generation/text.ts';
import type { ServedName } from '../adapters.ts';
import type { Prompt, TextOrder } from '../messages.ts';
import type { TextEvent, TextHost } from '../text-host.ts';
import {
  type Answer,
  type AnswerHead,
  chatChunk,
  chatCompletion,
  finishReason,
  textChunk,
  textCompletion,
  type Usage,
  usageChunk,
  usageOf,
} from './answers.ts';
import type { ChatRequest, CompletionRequest } from './requests.ts';

/** What an endpoint makes of the same events. */
interface Form {
  readonly head: AnswerHead;
  readonly prompts: readonly Prompt[];
  readonly maxNewTokens: number | undefined;
  readonly topLogprobs: number | undefined;
  /** Sent before anything of an answer is known. */
  begin(index: number): readonly object[];
  piece(index: number, piece: TextPiece): object;
  end(index: number, result: GeneratedText): object;
  usage(usage: Usage): object;
  whole(answers: readonly Answer[], usage: Usage): object;
}

export interface FormContext {
  readonly clock: Clock;
  readonly served: ServedName;
}

export function chatForm(request: ChatRequest, { clock, served }: FormContext): Form {
  const head = headOf('chatcmpl', served.name, clock);
  const logprobs = request.logprobs === true;
  return {
    head,
    prompts: [{ kind: 'chat', messages: request.messages }],
    maxNewTokens: request.max_completion_tokens ?? request.max_tokens,
    topLogprobs: logprobs ? (request.top_logprobs ?? 0) : undefined,
    begin: (index) => [chatChunk(head, index, { role: 'assistant', content: '' })],
    piece: (index, { text, tokens }) => chatChunk(head, index, { content: text }, logprobs ? { tokens } : {}),
    end: (index, result) => chatChunk(head, index, {}, { reason: finishReason(result) }),
    usage: (usage) => usageChunk(head, 'chat.completion.chunk', usage),
    whole: (answers, usage) => chatCompletion(head, answers, usage, logprobs),
  };
}

export function completionForm(request: CompletionRequest, { clock, served }: FormContext): Form {
  const head = headOf('cmpl', served.name, clock);
  const logprobs = request.logprobs !== undefined;
  const nothing = { text: '', tokens: [] };
  return {
    head,
    prompts: request.prompt.map((prompt): Prompt => {
      return typeof prompt === 'string' ? { kind: 'text', text: prompt } : { kind: 'tokens', ids: prompt };
    }),
    maxNewTokens: request.max_tokens,
    topLogprobs: request.logprobs,
    begin: () => [],
    piece: (index, piece) => textChunk(head, index, piece, { logprobs }),
    end: (index, result) =>
      textChunk(head, index, nothing, { logprobs: false, reason: finishReason(result) }),
    usage: (usage) => usageChunk(head, 'text_completion', usage),
    whole: (answers, usage) => textCompletion(head, answers, usage, logprobs),
  };
}

function headOf(kind: string, model: string, clock: Clock): AnswerHead {
  return { id: `${kind}-${randomUUID()}`, created: Math.floor(clock.nowMs() / 1000), model };
}

type Sampling = Pick<
  ChatRequest,
  | 'temperature'
  | 'top_p'
  | 'top_k'
  | 'repetition_penalty'
  | 'frequency_penalty'
  | 'presence_penalty'
  | 'seed'
  | 'stop'
  | 'n'
>;

/** One order a prompt. Without a seed every request draws anew. */
export function ordersOf(request: Sampling, form: Form, { adapter }: ServedName): TextOrder[] {
  const seed = request.seed ?? randomUUID();
  return form.prompts.map((prompt, i) => ({
    adapter,
    prompt,
    maxNewTokens: form.maxNewTokens,
    sampling: {
      temperature: request.temperature,
      topP: request.top_p,
      topK: request.top_k,
      repetitionPenalty: request.repetition_penalty,
      frequencyPenalty: request.frequency_penalty,
      presencePenalty: request.presence_penalty,
    },
    seedPath: ['serve', seed, i],
    stop: request.stop,
    topLogprobs: form.topLogprobs,
    numChoices: request.n,
  }));
}

/** The events of all orders, each order numbered; the signal ends them all. Throws what the service refuses. */
export async function startOrders(
  host: Pick<TextHost, 'generate'>,
  orders: readonly TextOrder[],
  signal: AbortSignal,
): Promise<AsyncIterable<TextEvent>[]> {
  const own = new AbortController();
  const either = AbortSignal.any([signal, own.signal]);
  const started = await Promise.allSettled(orders.map((order) => host.generate(order, either)));
  const refused = started.find((result) => result.status === 'rejected');
  if (refused === undefined) return started.flatMap((r) => (r.status === 'fulfilled' ? [r.value] : []));
  own.abort();
  // Streams that were accepted must still be followed to be ended.
  for (const result of started) if (result.status === 'fulfilled') void drain(result.value);
  throw refused.reason;
}

async function drain(events: AsyncIterable<TextEvent>): Promise<void> {
  for await (const _ of events) break;
}

/** The whole answer as JSON. */
export async function wholeAnswer(
  form: Form,
  streams: readonly AsyncIterable<TextEvent>[],
  numChoices: number,
): Promise<object> {
  const answers = await Promise.all(streams.map((events, i) => gather(events, i * numChoices, numChoices)));
  const all = answers.flat();
  return form.whole(
    all,
    usageOf(
      all.map(({ result }) => result),
      numChoices,
    ),
  );
}

async function gather(
  events: AsyncIterable<TextEvent>,
  first: number,
  numChoices: number,
): Promise<Answer[]> {
  const tokens = Array.from({ length: numChoices }, (): TextToken[] => []);
  const results = new Map<number, GeneratedText>();
  for await (const event of events)
    if (event.kind === 'piece') tokens[event.choice]!.push(...event.piece.tokens);
    else results.set(event.choice, event.result);
  return tokens.map((list, choice) => {
    const result = results.get(choice)!;
    return { index: first + choice, text: result.text, tokens: list, result };
  });
}

/** The JSON of each server-sent event in turn. Orders follow one another: their texts grow side by side anyway. */
export async function* answerChunks(
  form: Form,
  streams: readonly AsyncIterable<TextEvent>[],
  numChoices: number,
  includeUsage: boolean,
): AsyncGenerator<object> {
  const results: GeneratedText[] = [];
  for (const [i, events] of streams.entries()) {
    for (let choice = 0; choice < numChoices; choice++) yield* form.begin(i * numChoices + choice);
    for await (const event of events) {
      const index = i * numChoices + event.choice;
      if (event.kind === 'piece') yield form.piece(index, event.piece);
      else {
        results[index] = event.result;
        yield form.end(index, event.result);
      }
    }
  }
  if (includeUsage) yield form.usage(usageOf(results, numChoices));
}
