/** What a model is asked, as tokens: plain text to continue, or a chat through the model's own template. Pure. */

import { HeadwaterError } from '../base/errors.ts';
import type { ChatTemplate } from './chat-template.ts';
import type { Model } from './model.ts';
import type { Tokenizer } from './tokenizer.ts';

export interface PromptParts {
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate | undefined;
  readonly model: Pick<Model, 'bosTokenId' | 'eosTokenIds' | 'folder'>;
}

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** An empty text begins with the begin token. Throws OPTION_INVALID when the model has none. */
export function textTokens({ tokenizer, model }: PromptParts, text: string): Int32Array {
  const tokens = tokenizer.encode(text);
  if (tokens.length > 0) return tokens;
  const begin = model.bosTokenId ?? model.eosTokenIds[0];
  if (begin === undefined)
    throw new HeadwaterError('OPTION_INVALID', 'the prompt is empty and the model has no begin token', {
      hint: 'Give a prompt with some text.',
    });
  return Int32Array.of(begin);
}

/** Ends where the assistant's answer begins. Throws OPTION_INVALID without a template, DATA_INVALID when it refuses. */
export function chatTokens(
  { tokenizer, chatTemplate, model }: PromptParts,
  messages: readonly ChatMessage[],
): Int32Array {
  if (chatTemplate === undefined)
    throw new HeadwaterError('OPTION_INVALID', 'the model has no chat template', {
      where: model.folder,
      hint: 'It continues plain text: ask without a chat.',
    });
  // The template writes the special tokens itself.
  return tokenizer.encode(chatTemplate.render(messages, { addGenerationPrompt: true }), {
    addSpecialTokens: false,
  });
}

/** Tokens that end an answer: those of the model, and the tokenizer's end token, which chat templates end turns with. */
export function endTokens({ tokenizer, model }: PromptParts): number[] {
  const own = tokenizer.eosTokenId;
  return [...new Set([...model.eosTokenIds, ...(own === undefined ? [] : [own])])];
}
