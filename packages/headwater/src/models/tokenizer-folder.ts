/**
 * The tokenizer of a model's files, wherever they lie: tokenizer.json, or vocab.json + merges.txt, with tokenizer_config.json and
 * chat templates.
 */

import { type Clock, systemClock } from '../base/clock.ts';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import { type ChatTemplate, type ChatTemplateSource, makeChatTemplate } from './chat-template.ts';
import { makeTokenizer, type Tokenizer } from './tokenizer.ts';
import type { TokenizerFiles } from './tokenizer-files.ts';
import { tokenizerFromVocabMerges } from './tokenizer-vocab-merges.ts';

/** Texts of a model folder by name. */
export interface TextFolder {
  /** For messages. */
  readonly where: string;
  /** Undefined when there is no such file. */
  read(name: string): Promise<string | undefined>;
  /** Names in a folder below; `''`: in this one. Empty when there is none. */
  names(below: string): Promise<readonly string[]>;
}

const EXTRAS = 'additional_chat_templates';

export type TokenizerTexts = TokenizerFiles & { readonly chatTemplate: ChatTemplateSource | undefined };

export interface LoadedTokenizer {
  readonly tokenizer: Tokenizer;
  /** The model's chat template(s); undefined for models without one. */
  readonly chatTemplate: ChatTemplate | undefined;
}

/** Throws TOKENIZER_INVALID (absent, malformed or unsupported files). */
export async function tokenizerIn(folder: TextFolder, clock: Clock = systemClock): Promise<LoadedTokenizer> {
  const files = await readTokenizer(folder);
  const tokenizer = makeTokenizer(files);
  const context = { specialTokens: tokenizer.specialTokens, clock, where: folder.where };
  const { chatTemplate: source } = files;
  return {
    tokenizer,
    chatTemplate: source === undefined ? undefined : makeChatTemplate(source, context),
  };
}

/** The files as they are, for formats that want vocabulary and merges themselves. Throws TOKENIZER_INVALID. */
export async function readTokenizer(folder: TextFolder): Promise<TokenizerTexts> {
  const map = (await readJson(folder, 'special_tokens_map.json')) ?? {};
  const ownConfig = (await readJson(folder, 'tokenizer_config.json')) ?? {};
  const config = { ...map, ...ownConfig };
  const whole = await readJson(folder, 'tokenizer.json');
  const tokenizer = whole ?? (await fromVocabMerges(folder, config));
  return { tokenizer, config, chatTemplate: await readChatTemplate(folder, config), where: folder.where };
}

async function fromVocabMerges(folder: TextFolder, config: Record<string, unknown>): Promise<unknown> {
  const vocab = await readJson(folder, 'vocab.json');
  const merges = await folder.read('merges.txt');
  if (vocab !== undefined && merges !== undefined) {
    return tokenizerFromVocabMerges({ vocab, merges, config, where: folder.where });
  }
  const sentencePiece = (await folder.names('')).includes('tokenizer.model');
  throw new HeadwaterError(
    'TOKENIZER_INVALID',
    sentencePiece
      ? 'the folder has only a SentencePiece tokenizer.model, tokenizer.json is needed'
      : 'the folder has no tokenizer.json (nor vocab.json with merges.txt)',
    {
      where: folder.where,
      hint: 'Write it with transformers: AutoTokenizer.from_pretrained(…).save_pretrained(folder).',
    },
  );
}

/** chat_template.jinja wins over tokenizer_config.json, as in transformers; additional templates have names. */
async function readChatTemplate(
  folder: TextFolder,
  config: Record<string, unknown>,
): Promise<ChatTemplateSource | undefined> {
  const main = await folder.read('chat_template.jinja');
  const names = (await folder.names(EXTRAS)).filter((name) => name.endsWith('.jinja')).sort();
  const named = new Map<string, string>();
  for (const name of names)
    named.set(name.slice(0, -'.jinja'.length), (await folder.read(`${EXTRAS}/${name}`)) ?? '');
  if (main !== undefined) return named.size === 0 ? main : new Map([['default', main], ...named]);
  return fromConfig(config.chat_template ?? (await readJson(folder, 'chat_template.json'))?.chat_template);
}

function fromConfig(template: unknown): ChatTemplateSource | undefined {
  if (typeof template === 'string') return template;
  if (!Array.isArray(template)) return undefined;
  const named = template.filter(
    (item): item is { name: string; template: string } =>
      typeof item?.name === 'string' && typeof item?.template === 'string',
  );
  return new Map(named.map((item) => [item.name, item.template]));
}

async function readJson(folder: TextFolder, name: string): Promise<Record<string, unknown> | undefined> {
  const text = await folder.read(name);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
    throw new Error('not an object');
  } catch (cause) {
    const reason = messageOf(cause);
    throw new HeadwaterError('TOKENIZER_INVALID', `this is no JSON object: ${reason}`, {
      where: `${folder.where}/${name}`,
      cause,
      hint: 'The file may be cut or a Git LFS pointer; download it again.',
    });
  }
}
