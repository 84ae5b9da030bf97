/**
 * A Hugging Face tokenizer as GGUF metadata: vocabulary, kinds of tokens, special tokens, chat template. The two families
 * that llama.cpp computes as Hugging Face does have files of their own; other tokenizers are refused.
 */

import { HeadwaterError } from '../../base/errors.ts';
import type { ChatTemplateSource } from '../../models/chat-template.ts';
import type { Model } from '../../models/model.ts';
import { checkVocabulary, makeTokenizer, type Tokenizer } from '../../models/tokenizer.ts';
import { normalizeFiles } from '../../models/tokenizer-files.ts';
import { readTokenizerFiles } from '../../models/tokenizer-node.ts';
import { byteLevelMetadata } from './byte-level-tokenizer.ts';
import type { GgufValue } from './format.ts';
import { sentencePieceMetadata } from './sentence-piece-tokenizer.ts';
import type { VocabularyTable } from './vocabulary.ts';

type Entry = readonly [string, GgufValue];

export interface Vocabulary {
  readonly table: VocabularyTable;
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplateSource | undefined;
}

/** Throws TOKENIZER_INVALID. */
export async function readVocabulary(model: Model): Promise<Vocabulary> {
  const files = await readTokenizerFiles(model.folder);
  const tokenizer = makeTokenizer(files);
  const { vocabSize } = model.definition.shape;
  checkVocabulary(tokenizer, vocabSize, model.folder);
  const { tokenizer: json, addedTokens } = normalizeFiles(files);
  const vocabulary = new Map(Object.entries(json.model.vocab as Record<string, number>));
  const table = { json, vocabulary, addedTokens, vocabSize, where: model.folder };
  return { table, tokenizer, chatTemplate: files.chatTemplate };
}

/** `tokenizer.*`. Throws MODEL_UNSUPPORTED for a kind that llama.cpp lacks. */
export function tokenizerMetadata(model: Model, { table, tokenizer, chatTemplate }: Vocabulary): Entry[] {
  return [...familyMetadata(table), ...specialTokens(tokenizer, model), ...chatTemplates(chatTemplate)];
}

function familyMetadata(table: VocabularyTable): Entry[] {
  const { type, byte_fallback: byteFallback } = table.json.model;
  if (type === 'BPE' && byteFallback === true) return sentencePieceMetadata(table);
  if (type === 'BPE') return byteLevelMetadata(table);
  throw new HeadwaterError(
    'MODEL_UNSUPPORTED',
    `the tokenizer is of type ${JSON.stringify(type)}; GGUF files here can hold BPE, byte-level or SentencePiece-like`,
    { where: table.where, hint: 'Merge the adapter (headwater merge) and use the safetensors folder.' },
  );
}

function specialTokens(tokenizer: Tokenizer, model: Model): Entry[] {
  const entries: Entry[] = [];
  const id = (name: string, value: number | undefined) => {
    if (value !== undefined) entries.push([`tokenizer.ggml.${name}_token_id`, { type: 'uint32', value }]);
  };
  const frame = framing(tokenizer);
  const eos = tokenizer.eosTokenId ?? model.eosTokenIds[0];
  const named = (name: string) => {
    const content = tokenizer.specialTokens.get(name);
    return content === undefined ? undefined : tokenizer.idOf(content);
  };
  id('bos', frame.begin ?? tokenizer.bosTokenId ?? model.bosTokenId);
  id('eos', eos);
  // Generation ends at any of several tokens; the format has room for one more.
  id(
    'eot',
    model.eosTokenIds.find((token) => token !== eos),
  );
  id('unknown', named('unk_token'));
  id('padding', tokenizer.padTokenId ?? model.padTokenId);
  entries.push(
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: frame.begin !== undefined }],
    ['tokenizer.ggml.add_eos_token', { type: 'bool', value: frame.addsEnd }],
  );
  return entries;
}

/** What the tokenizer puts around a text, seen from what it does. */
function framing(tokenizer: Tokenizer): { readonly begin: number | undefined; readonly addsEnd: boolean } {
  const bare = tokenizer.encode('a', { addSpecialTokens: false });
  const framed = tokenizer.encode('a');
  if (framed.length === bare.length) return { begin: undefined, addsEnd: false };
  const addsBegin = framed[0] !== bare[0];
  return { begin: addsBegin ? framed[0] : undefined, addsEnd: framed.at(-1) !== bare.at(-1) };
}

function chatTemplates(source: ChatTemplateSource | undefined): Entry[] {
  if (source === undefined) return [];
  const text = (key: string, value: string): Entry => [key, { type: 'string', value }];
  if (typeof source === 'string') return [text('tokenizer.chat_template', source)];
  const others = [...source].filter(([name]) => name !== 'default');
  const main = source.get('default');
  return [
    ...(main === undefined ? [] : [text('tokenizer.chat_template', main)]),
    ...others.map(([name, template]) => text(`tokenizer.chat_template.${name}`, template)),
    ...(others.length === 0
      ? []
      : ([['tokenizer.chat_templates', { type: 'strings', value: others.map(([name]) => name) }]] as const)),
  ];
}
