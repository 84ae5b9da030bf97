/**
 * Continuous batching: requests wait for a free sequence of a decoder, run side by side one token at a time, and leave when
 * they are done, so that the next one takes their place. Sampling and ends of texts are decided here; text is not known.
 */

import { HeadwaterError } from '../../base/errors.ts';
import { type Rng, rng } from '../../base/random.ts';
import { penalised } from '../penalties.ts';
import { chosenLogprob, sampleToken } from '../sampling.ts';
import type { Decoder } from './decoder.ts';
import type { GenerateOptions, OnToken } from './options.ts';
import type { Sequence } from './sequences.ts';

export interface GenerationRequest {
  readonly prompt: Int32Array;
  readonly options: GenerateOptions;
  readonly onToken?: OnToken | undefined;
}

export interface Generated {
  /** Without the prompt; a stop token ends the text and is not part of it. */
  readonly tokens: Int32Array;
  /** `stop`: a stop token, or `onToken` said so. */
  readonly reason: 'stop' | 'length' | 'cancelled';
  /** Tokens of the prompt whose keys and values were known from earlier sequences. */
  readonly numReused: number;
}

export interface PendingGeneration {
  readonly done: Promise<Generated>;
  /** Ends the request where it is. */
  cancel(): void;
}

export interface Generator {
  /** Throws OPTION_INVALID for an empty prompt and when prompt and new tokens do not fit. */
  submit(request: GenerationRequest): PendingGeneration;
  /** Nothing waits and nothing runs. */
  isIdle(): boolean;
  /** Takes in what fits and gives every running request its next token. A failure of the engine ends all that run. */
  step(): Promise<void>;
}

interface Running {
  readonly request: GenerationRequest;
  readonly random: Rng;
  readonly stops: ReadonlySet<number>;
  readonly tokens: number[];
  readonly finish: (result: Generated) => void;
  readonly fail: (cause: unknown) => void;
  sequence: Sequence | undefined;
  numReused: number;
  ended: Generated['reason'] | undefined;
}

/** `maxTokens`: of prompt and answer together. */
export function createGenerator(decoder: Decoder, maxTokens: number): Generator {
  const waiting: Running[] = [];
  let running: Running[] = [];

  function leave(item: Running): void {
    if (item.sequence !== undefined) decoder.close(item.sequence);
    item.finish({ tokens: Int32Array.from(item.tokens), reason: item.ended!, numReused: item.numReused });
  }
  function sweep(): void {
    for (const item of running) if (item.ended !== undefined) leave(item);
    running = running.filter(({ ended }) => ended === undefined);
  }
  async function admit(): Promise<void> {
    while (waiting.length > 0) {
      const item = waiting[0]!;
      if (item.ended === undefined) {
        const opening = decoder.open(item.request.prompt);
        if (opening === undefined) return;
        waiting.shift();
        running.push(item);
        const { sequence, logits, numReused } = await opening;
        Object.assign(item, { sequence, numReused });
        take(item, logits);
        sweep();
      } else leave(waiting.shift()!);
    }
  }
  async function advance(): Promise<void> {
    if (running.length === 0) return;
    const logits = await decoder.step(
      running.map(({ sequence }) => sequence!),
      running.map(({ tokens }) => tokens.at(-1)!),
    );
    for (const [i, item] of running.entries()) take(item, logits[i]!);
  }
  return {
    submit(request) {
      checkRequest(request, maxTokens);
      const { promise, resolve, reject } = Promise.withResolvers<Generated>();
      const item = newcomer(request, resolve, reject);
      waiting.push(item);
      return {
        done: promise,
        cancel: () => {
          item.ended ??= 'cancelled';
        },
      };
    },
    isIdle: () => waiting.length === 0 && running.length === 0,
    async step() {
      try {
        sweep();
        await advance();
        sweep();
        await admit();
      } catch (cause) {
        for (const item of running.splice(0)) item.fail(cause);
        decoder.reset();
      }
    },
  };
}

/** Throws OPTION_INVALID; `maxTokens`: of prompt and answer together. */
export function checkRequest({ prompt, options }: GenerationRequest, maxTokens: number): void {
  const { maxNewTokens } = options;
  if (prompt.length === 0)
    throw new HeadwaterError('OPTION_INVALID', 'the prompt has no tokens', {
      hint: 'Give at least one token; models with a begin token start from it.',
    });
  if (prompt.length + maxNewTokens > maxTokens)
    throw new HeadwaterError(
      'OPTION_INVALID',
      `prompt (${prompt.length} tokens) and ${maxNewTokens} new tokens exceed the ${maxTokens} positions that there are for text`,
      { hint: `Ask for at most ${Math.max(0, maxTokens - prompt.length)} new tokens.` },
    );
}

function newcomer(request: GenerationRequest, finish: Running['finish'], fail: Running['fail']): Running {
  const { options } = request;
  return {
    request,
    random: rng(...options.seedPath, 'generate'),
    stops: new Set(options.stopTokenIds),
    tokens: [],
    finish,
    fail,
    sequence: undefined,
    numReused: 0,
    ended: options.maxNewTokens === 0 ? 'length' : undefined,
  };
}

/** Chooses the next token of one request and decides whether it ends. */
function take(item: Running, logits: Float32Array): void {
  if (item.ended !== undefined) return;
  const { options, prompt, onToken } = item.request;
  const id = sampleToken(penalised(logits, options, prompt, item.tokens), options, item.random);
  if (item.stops.has(id)) {
    item.ended = 'stop';
    return;
  }
  item.tokens.push(id);
  const { topLogprobs } = options;
  const details = topLogprobs === undefined ? {} : chosenLogprob(logits, id, topLogprobs);
  if (onToken?.(id, details) === 'stop') item.ended = 'stop';
  else if (item.tokens.length === options.maxNewTokens) item.ended = 'length';
}
