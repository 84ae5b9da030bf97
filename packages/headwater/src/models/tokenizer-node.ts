/** Reads the tokenizer of a model folder: tokenizer.json, or vocab.json + merges.txt, with tokenizer_config.json and chat templates. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, systemClock } from '../base/clock.ts';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import { storageError, systemErrorCode } from '../base/io-errors.ts';
import { type ChatTemplate, type ChatTemplateSource, makeChatTemplate } from './chat-template.ts';
import { makeTokenizer, type Tokenizer } from './tokenizer.ts';
import type { TokenizerFiles } from './tokenizer-files.ts';
import { tokenizerFromVocabMerges } from './tokenizer-vocab-merges.ts';

export interface LoadedTokenizer {
  readonly tokenizer: Tokenizer;
  /** The model's chat template(s); undefined for models without one. */
  readonly chatTemplate: ChatTemplate | undefined;
}

/** Throws TOKENIZER_INVALID (absent, malformed or unsupported files). */
export async function loadTokenizer(folder: string, clock: Clock = systemClock): Promise<LoadedTokenizer> {
  const files = await readTokenizerFiles(folder);
  const tokenizer = makeTokenizer(files);
  const context = { specialTokens: tokenizer.specialTokens, clock, where: folder };
  const { chatTemplate: source } = files;
  return {
    tokenizer,
    chatTemplate: source === undefined ? undefined : makeChatTemplate(source, context),
  };
}

/** Token ids of texts, by a tokenizer that is read when the first text comes. */
export function textEncoder(folder: string): (text: string) => Promise<Int32Array> {
  let loaded: Promise<LoadedTokenizer> | undefined;
  return async (text) => {
    loaded ??= loadTokenizer(folder);
    return (await loaded).tokenizer.encode(text);
  };
}

/** The files as they are, for formats that want vocabulary and merges themselves. Throws TOKENIZER_INVALID. */
export async function readTokenizerFiles(
  folder: string,
): Promise<TokenizerFiles & { readonly chatTemplate: ChatTemplateSource | undefined }> {
  const map = (await readJson(join(folder, 'special_tokens_map.json'))) ?? {};
  const ownConfig = (await readJson(join(folder, 'tokenizer_config.json'))) ?? {};
  const config = { ...map, ...ownConfig };
  const whole = await readJson(join(folder, 'tokenizer.json'));
  const tokenizer = whole ?? (await fromVocabMerges(folder, config));
  return { tokenizer, config, chatTemplate: await readChatTemplate(folder, config), where: folder };
}

async function fromVocabMerges(folder: string, config: Record<string, unknown>): Promise<unknown> {
  const vocab = await readJson(join(folder, 'vocab.json'));
  const merges = await readText(join(folder, 'merges.txt'));
  if (vocab !== undefined && merges !== undefined) {
    return tokenizerFromVocabMerges({ vocab, merges, config, where: folder });
  }
  const sentencePiece = (await namesIn(folder)).includes('tokenizer.model');
  throw new HeadwaterError(
    'TOKENIZER_INVALID',
    sentencePiece
      ? 'the folder has only a SentencePiece tokenizer.model, tokenizer.json is needed'
      : 'the folder has no tokenizer.json (nor vocab.json with merges.txt)',
    {
      where: folder,
      hint: 'Write it with transformers: AutoTokenizer.from_pretrained(…).save_pretrained(folder).',
    },
  );
}

/** chat_template.jinja wins over tokenizer_config.json, as in transformers; additional templates have names. */
async function readChatTemplate(
  folder: string,
  config: Record<string, unknown>,
): Promise<ChatTemplateSource | undefined> {
  const main = await readText(join(folder, 'chat_template.jinja'));
  const extras = join(folder, 'additional_chat_templates');
  const names = (await namesIn(extras)).filter((name) => name.endsWith('.jinja')).sort();
  const named = new Map<string, string>();
  for (const name of names)
    named.set(name.slice(0, -'.jinja'.length), (await readText(join(extras, name))) ?? '');
  if (main !== undefined) return named.size === 0 ? main : new Map([['default', main], ...named]);
  return fromConfig(
    config.chat_template ?? (await readJson(join(folder, 'chat_template.json')))?.chat_template,
  );
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

async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
  const text = await readText(path);
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
      where: path,
      cause,
      hint: 'The file may be cut or a Git LFS pointer; download it again.',
    });
  }
}

/** Empty when there is no such folder. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(cause))) return [];
    throw storageError(cause, 'list the folder', folder, 'TOKENIZER_INVALID');
  }
}

/** undefined when there is no such file. */
async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(cause))) return undefined;
    throw storageError(cause, 'read the file', path, 'TOKENIZER_INVALID');
  }
}
