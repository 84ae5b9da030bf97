/**
 * BPE over pieces with bytes as fallback (SentencePiece's kind: Llama 2, Mistral, Gemma) as GGUF metadata. llama.cpp merges
 * any two neighbours whose union is a token, best score first; a tokenizer whose merges say something else is refused.
 */

import { HeadwaterError } from '../../base/errors.ts';
import type { GgufValue } from './format.ts';
import { mergesOf, TOKEN_TYPES, tokenList, type VocabularyTable } from './vocabulary.ts';

const SPACE = '\u2581';
const BYTE = /^<0x[0-9A-F]{2}>$/;

/** Throws MODEL_UNSUPPORTED where scores cannot say what the merges say. */
export function sentencePieceMetadata(table: VocabularyTable): (readonly [string, GgufValue])[] {
  const { tokens, types } = tokenList(table);
  const unknown = table.json.model.unk_token;
  for (const [id, token] of tokens.entries()) {
    if (types[id] === TOKEN_TYPES.normal && BYTE.test(token)) types[id] = TOKEN_TYPES.byte;
    if (types[id] === TOKEN_TYPES.userDefined) tokens[id] = token.replaceAll(SPACE, ' ');
    if (token === unknown) types[id] = TOKEN_TYPES.unknown;
  }
  return [
    ['tokenizer.ggml.model', { type: 'string', value: 'llama' }],
    ['tokenizer.ggml.pre', { type: 'string', value: 'default' }],
    ['tokenizer.ggml.tokens', { type: 'strings', value: tokens }],
    ['tokenizer.ggml.scores', { type: 'float32s', value: scoresOf(table) }],
    ['tokenizer.ggml.token_type', { type: 'int32s', value: types }],
    ['tokenizer.ggml.add_space_prefix', { type: 'bool', value: addsSpacePrefix(table) }],
  ];
}

/** −1, −2 … in the order in which the merges first make a token; 0 for what no merge makes. */
function scoresOf(table: VocabularyTable): number[] {
  const merges = mergesOf(table.json);
  const order = new Map<string, number>();
  let last = '';
  for (const [left, right] of merges) {
    const token = left + right;
    if (token === last) continue;
    last = token;
    if (order.has(token)) throw unlike(table, `the merges of "${token}" are scattered`);
    order.set(token, order.size + 1);
  }
  checkComplete(table, merges, order);
  const scores = new Array<number>(table.vocabSize).fill(0);
  for (const [token, rank] of order) {
    const id = table.vocabulary.get(token);
    if (id !== undefined) scores[id] = -rank;
  }
  return scores;
}

/** Every way to put a token together from two others must be a merge: llama.cpp would take it. */
function checkComplete(
  table: VocabularyTable,
  merges: readonly (readonly [string, string])[],
  order: ReadonlyMap<string, number>,
): void {
  const { vocabulary } = table;
  const known = new Set(merges.map(([left, right]) => `${left} ${right}`));
  for (const token of order.keys())
    for (let at = 1; at < token.length; at++) {
      const [left, right] = [token.slice(0, at), token.slice(at)];
      if (vocabulary.has(left) && vocabulary.has(right) && !known.has(`${left} ${right}`))
        throw unlike(table, `"${token}" has no merge of "${left}" and "${right}"`);
    }
}

function unlike({ where }: VocabularyTable, what: string): HeadwaterError {
  return new HeadwaterError(
    'MODEL_UNSUPPORTED',
    `the tokenizer cannot be written with scores, as GGUF wants it: ${what}`,
    { where, hint: 'Merge the adapter (headwater merge) and use the safetensors folder.' },
  );
}

type Part = Record<string, unknown>;

/** Whether a text gets a space before it. Spaces become `\u2581` in every tokenizer of this kind. */
function addsSpacePrefix(table: VocabularyTable): boolean {
  const { normalizer, pre_tokenizer: preTokenizer } = table.json;
  let prefix = false;
  for (const part of partsOf(normalizer, 'normalizers'))
    if (part.type === 'Prepend' && part.prepend === SPACE) prefix = true;
    else if (!replacesSpaces(part)) throw unknownPart(table, part);
  for (const part of partsOf(preTokenizer, 'pretokenizers'))
    if (part.type === 'Metaspace')
      prefix = part.prepend_scheme !== 'never' && part.add_prefix_space !== false;
    else if (!splitsAtSpaces(part)) throw unknownPart(table, part);
  return prefix;
}

function partsOf(part: Part | null, key: string): Part[] {
  if (part === null) return [];
  return part.type === 'Sequence' ? (part[key] as Part[]) : [part];
}

function replacesSpaces(part: Part): boolean {
  return part.type === 'Replace' && stringPattern(part) === ' ' && part.content === SPACE;
}

/** After the spaces were replaced there is nothing left to split (gemma). */
function splitsAtSpaces(part: Part): boolean {
  return part.type === 'Split' && stringPattern(part) === ' ';
}

function stringPattern(part: Part): unknown {
  return (part.pattern as { String?: unknown } | undefined)?.String;
}

function unknownPart({ where }: VocabularyTable, part: Part): HeadwaterError {
  return new HeadwaterError(
    'MODEL_UNSUPPORTED',
    `the tokenizer has a part that llama.cpp does not compute: ${JSON.stringify(part).slice(0, 200)}`,
    { where },
  );
}
