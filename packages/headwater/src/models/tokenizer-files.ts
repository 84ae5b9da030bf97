/**
 * Makes Hugging Face's tokenizer files agree with each other before the backend sees them, by the rules of transformers:
 * which tokens are added and special, and which begin and end tokens are put around a text. Pure.
 */

import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import { withUnicodeSpaces } from './tokenizer-spaces.ts';

export interface TokenizerFiles {
  /** tokenizer.json. */
  readonly tokenizer: unknown;
  /** tokenizer_config.json (with special_tokens_map.json under it); `{}` when absent. */
  readonly config: unknown;
  /** For messages. */
  readonly where: string;
}

const tokenId = z.int().nonnegative();
const addedToken = z.object({
  id: tokenId,
  content: z.string().min(1),
  special: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  single_word: z.boolean().default(false),
  normalized: z.boolean().default(false),
});
export type AddedToken = z.infer<typeof addedToken>;

const part = z.record(z.string(), z.unknown()).nullable().default(null);
const tokenizerShape = z.looseObject({
  added_tokens: z.array(addedToken).default([]),
  normalizer: part,
  pre_tokenizer: part,
  post_processor: part,
  decoder: part,
  model: z.looseObject({ type: z.string().optional(), vocab: z.unknown() }),
});
type TokenizerJson = z.infer<typeof tokenizerShape>;

const configShape = z.looseObject({
  added_tokens_decoder: z.record(z.string(), addedToken.omit({ id: true })).optional(),
  additional_special_tokens: z.array(z.union([z.string(), z.object({ content: z.string() })])).nullish(),
  add_bos_token: z.boolean().nullish(),
  add_eos_token: z.boolean().nullish(),
});
type ConfigJson = z.infer<typeof configShape>;

const NAMED = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'];

export interface NormalizedFiles {
  readonly tokenizer: TokenizerJson;
  readonly config: ConfigJson;
  readonly addedTokens: readonly AddedToken[];
  readonly specialTokens: ReadonlyMap<string, string>;
  readonly vocabSize: number;
}

/** Throws TOKENIZER_INVALID when a file has another form than Hugging Face's. */
export function normalizeFiles({ tokenizer, config, where }: TokenizerFiles): NormalizedFiles {
  const json = parse(tokenizerShape, tokenizer, 'tokenizer.json', where);
  const settings = parse(configShape, config, 'tokenizer_config.json', where);
  const vocabulary = vocabularyOf(json, where);
  const specialTokens = namedTokens(settings);
  const addedTokens = completeAddedTokens(json, settings, specialTokens, vocabulary);
  const ids = [...vocabulary.values(), ...addedTokens.map((token) => token.id)];
  return {
    tokenizer: {
      ...json,
      model: { ...json.model, type: json.model.type ?? guessModelType(json) },
      added_tokens: addedTokens,
      pre_tokenizer: json.pre_tokenizer === null ? null : withUnicodeSpaces(json.pre_tokenizer),
      post_processor: postProcessorOf(json, settings, specialTokens),
    },
    config: settings,
    addedTokens,
    specialTokens,
    vocabSize: ids.reduce((largest, id) => Math.max(largest, id), -1) + 1,
  };
}

function parse<T>(schema: z.ZodType<T>, value: unknown, file: string, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new HeadwaterError('TOKENIZER_INVALID', `${file} is malformed: ${problems.join('; ')}`, { where });
}

/** Token → id of the model part: a map for BPE and WordPiece, `[token, score]` pairs for Unigram. */
function vocabularyOf(json: TokenizerJson, where: string): Map<string, number> {
  const { vocab } = json.model;
  const entries: [string, unknown][] = Array.isArray(vocab)
    ? vocab.map((pair: unknown, id) => [String(Array.isArray(pair) ? pair[0] : pair), id])
    : Object.entries(vocab !== null && typeof vocab === 'object' ? vocab : {});
  const bad = entries.find(([, id]) => !Number.isSafeInteger(id) || (id as number) < 0);
  if (entries.length === 0 || bad !== undefined) {
    const what = bad === undefined ? 'is empty' : `gives ${JSON.stringify(bad[0])} the id ${String(bad[1])}`;
    throw new HeadwaterError('TOKENIZER_INVALID', `tokenizer.json: model.vocab ${what}`, { where });
  }
  return new Map(entries as [string, number][]);
}

function guessModelType(json: TokenizerJson): string {
  if (Array.isArray(json.model.vocab)) return 'Unigram';
  return json.model.merges === undefined ? 'WordPiece' : 'BPE';
}

/** `"<s>"` or `{ "content": "<s>", … }`, by name; additional tokens are no names of their own. */
function namedTokens(config: ConfigJson): Map<string, string> {
  const named = new Map<string, string>();
  for (const name of NAMED) {
    const content = contentOf(config[name]);
    if (content !== undefined) named.set(name, content);
  }
  return named;
}

function contentOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  const content = (value as { content?: unknown } | null | undefined)?.content;
  return typeof content === 'string' ? content : undefined;
}

/** tokenizer.json's added tokens, then the config's, then named special tokens that so far are plain vocabulary. */
function completeAddedTokens(
  json: TokenizerJson,
  config: ConfigJson,
  named: ReadonlyMap<string, string>,
  vocabulary: ReadonlyMap<string, number>,
): AddedToken[] {
  const byContent = new Map(json.added_tokens.map((token) => [token.content, token]));
  for (const [id, token] of Object.entries(config.added_tokens_decoder ?? {})) {
    if (!byContent.has(token.content)) byContent.set(token.content, { ...token, id: Number(id) });
  }
  const additional = (config.additional_special_tokens ?? []).map(contentOf);
  for (const content of [...named.values(), ...additional]) {
    if (content === undefined) continue;
    const known = byContent.get(content);
    const id = known?.id ?? vocabulary.get(content);
    if (id === undefined) continue;
    byContent.set(content, { ...plainToken(id, content), ...known, special: true });
  }
  return [...byContent.values()];
}

function plainToken(id: number, content: string): AddedToken {
  return { id, content, special: true, lstrip: false, rstrip: false, single_word: false, normalized: false };
}

/** An explicit `add_bos_token` / `add_eos_token` replaces the post-processor by `{bos} $A {eos}`. */
function postProcessorOf(
  json: TokenizerJson,
  config: ConfigJson,
  named: ReadonlyMap<string, string>,
): TokenizerJson['post_processor'] {
  if (typeof config.add_bos_token !== 'boolean' && typeof config.add_eos_token !== 'boolean') {
    return json.post_processor;
  }
  const around = (wanted: boolean | null | undefined, name: string) => {
    const content = wanted === true ? named.get(name) : undefined;
    return content === undefined ? [] : [{ SpecialToken: { id: content, type_id: 0 } }];
  };
  const sequence = (id: string) => [
    ...around(config.add_bos_token, 'bos_token'),
    { Sequence: { id, type_id: 0 } },
    ...around(config.add_eos_token, 'eos_token'),
  ];
  return {
    type: 'TemplateProcessing',
    single: sequence('A'),
    pair: [...sequence('A'), ...sequence('B')],
    special_tokens: {},
  };
}
