/** What the threads of a model server say to each other: HTTP on one side, tokens on the other. Plain data only. */

import { HeadwaterError, isErrorCode, messageOf } from '../base/errors.ts';
import type { ChatMessage } from '../models/prompt-tokens.ts';
import type { Device } from '../runtime/executor.ts';
import type { GeneratedText, TextPiece } from '../training/generation/text.ts';
import type { PenaltyOptions } from '../training/penalties.ts';
import type { SamplingOptions } from '../training/sampling.ts';

/** What the generating thread is given when it starts. */
export interface ServiceInit {
  readonly modelFolder: string;
  readonly device: Device;
  readonly threads: number;
  readonly prepack: boolean;
  /** Texts that grow side by side. */
  readonly batchSize: number;
  /** Of prompt and answer together; undefined: what the model has, at most 4096. */
  readonly maxTokens: number | undefined;
}

export interface ServiceFacts {
  readonly maxTokens: number;
  readonly hasChatTemplate: boolean;
}

export type Prompt =
  | { readonly kind: 'chat'; readonly messages: readonly ChatMessage[] }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tokens'; readonly ids: readonly number[] };

export interface TextOrder {
  /** undefined: the model alone. */
  readonly adapter: string | undefined;
  readonly prompt: Prompt;
  /** undefined: what the prompt leaves. */
  readonly maxNewTokens: number | undefined;
  readonly sampling: SamplingOptions & PenaltyOptions;
  readonly seedPath: readonly (string | number)[];
  readonly stop: readonly string[];
  readonly topLogprobs: number | undefined;
  /** Answers to the same prompt. */
  readonly numChoices: number;
}

export type ToService =
  | { readonly type: 'generate'; readonly id: number; readonly order: TextOrder }
  | { readonly type: 'cancel'; readonly id: number }
  | { readonly type: 'load'; readonly id: number; readonly name: string; readonly folder: string }
  | { readonly type: 'unload'; readonly id: number; readonly name: string };

export type FromService =
  | { readonly type: 'ready'; readonly facts: ServiceFacts }
  | { readonly type: 'failed'; readonly error: SentError }
  | { readonly type: 'accepted'; readonly id: number }
  | { readonly type: 'piece'; readonly id: number; readonly choice: number; readonly piece: TextPiece }
  | {
      readonly type: 'finished';
      readonly id: number;
      readonly choice: number;
      readonly result: GeneratedText;
    }
  | { readonly type: 'refused'; readonly id: number; readonly error: SentError }
  | { readonly type: 'done'; readonly id: number };

/** Prompt and answer are longer than what the server holds. */
export class ContextError extends HeadwaterError {}

/** Errors lose their class between threads. */
export interface SentError {
  readonly code: string;
  readonly isContext: boolean;
  readonly message: string;
  readonly hint: string | undefined;
  readonly where: string | undefined;
}

export function sentError(cause: unknown): SentError {
  if (!(cause instanceof HeadwaterError))
    return { code: '', isContext: false, message: messageOf(cause), hint: undefined, where: undefined };
  const { code, message, hint, where } = cause;
  return { code, isContext: cause instanceof ContextError, message, hint, where };
}

export function receivedError({ code, isContext, message, hint, where }: SentError): Error {
  if (!isErrorCode(code)) return new Error(message);
  const details = { ...(hint === undefined ? {} : { hint }), ...(where === undefined ? {} : { where }) };
  return isContext ? new ContextError(code, message, details) : new HeadwaterError(code, message, details);
}
