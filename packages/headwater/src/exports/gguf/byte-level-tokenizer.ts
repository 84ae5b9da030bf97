/**
 * Byte-level BPE (GPT-2's kind) as GGUF metadata. llama.cpp knows the rules that split a text before BPE by name only:
 * a rule without a name is refused, because another rule would give other tokens.
 */

import { HeadwaterError } from '../../base/errors.ts';
import type { GgufValue } from './format.ts';
import { mergesOf, tokenList, type VocabularyTable } from './vocabulary.ts';

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const TAIL = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const DIGIT = '\\p{N}';
const LLAMA3 = `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|${TAIL}`;
const QWEN2 = `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|${TAIL}`;
const UPPER = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const LOWER = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const CASED = (end: string) =>
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${end}|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${end}`;
const CASED_TAIL = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

/** `tokenizer.ggml.pre` by the splits that it stands for, and whether whole words skip the merges (`ignore_merges`). */
const RULES: readonly { readonly name: string; readonly splits: readonly string[]; readonly whole?: true }[] =
  [
    { name: 'gpt-2', splits: [GPT2] },
    { name: 'smollm', splits: [DIGIT, GPT2] },
    { name: 'llama-bpe', splits: [LLAMA3], whole: true },
    { name: 'smaug-bpe', splits: [LLAMA3] },
    { name: 'qwen2', splits: [QWEN2] },
    { name: 'tekken', splits: [`${CASED('')}|\\p{N}|${CASED_TAIL}`], whole: true },
    { name: 'gpt-4o', splits: [`${CASED(`${CONTRACTIONS}?`)}|\\p{N}{1,3}|${CASED_TAIL}`] },
  ];

/** Throws MODEL_UNSUPPORTED for splitting rules and normalizers that llama.cpp has no name for. */
export function byteLevelMetadata(table: VocabularyTable): (readonly [string, GgufValue])[] {
  const { tokens, types } = tokenList(table);
  const merges = mergesOf(table.json).map(([left, right]) => `${left} ${right}`);
  return [
    ['tokenizer.ggml.model', { type: 'string', value: 'gpt2' }],
    ['tokenizer.ggml.pre', { type: 'string', value: ruleName(table) }],
    ['tokenizer.ggml.tokens', { type: 'strings', value: tokens }],
    ['tokenizer.ggml.token_type', { type: 'int32s', value: types }],
    ['tokenizer.ggml.merges', { type: 'strings', value: merges }],
  ];
}

function ruleName(table: VocabularyTable): string {
  const { json, where } = table;
  checkNormalizer(table);
  const splits = json.pre_tokenizer === null ? undefined : splitsOf(json.pre_tokenizer);
  const whole = json.model.ignore_merges === true;
  const rule = RULES.find(
    (known) =>
      (known.whole ?? false) === whole &&
      splits?.length === known.splits.length &&
      known.splits.every((split, i) => split === splits[i]),
  );
  if (rule !== undefined) return rule.name;
  throw new HeadwaterError(
    'MODEL_UNSUPPORTED',
    `the tokenizer splits text by a rule that llama.cpp has no name for: ${JSON.stringify(splits ?? json.pre_tokenizer)}` +
      (whole ? ' with ignore_merges' : ''),
    { where, hint: `Rules with names: ${RULES.map(({ name }) => name).join(', ')}.` },
  );
}

/** Unicode composition is left to whoever gives llama.cpp a text; other normalizers would change the tokens. */
function checkNormalizer({ json, where }: VocabularyTable): void {
  if (json.normalizer === null || json.normalizer.type === 'NFC') return;
  throw new HeadwaterError(
    'MODEL_UNSUPPORTED',
    `the tokenizer normalises text by ${JSON.stringify(json.normalizer.type)}, which llama.cpp does not`,
    { where },
  );
}

type Part = Record<string, unknown>;

/** The regular expressions that split a text, in order; undefined when a part says something else. */
function splitsOf(part: Part): string[] | undefined {
  switch (part.type) {
    case 'Sequence': {
      const parts = (part.pretokenizers as Part[]).map(splitsOf);
      return parts.every((splits) => splits !== undefined) ? parts.flat() : undefined;
    }
    case 'Split': {
      const regex = (part.pattern as { Regex?: string } | undefined)?.Regex;
      return regex === undefined || part.behavior !== 'Isolated' || part.invert === true
        ? undefined
        : [regex];
    }
    case 'Digits':
      return part.individual_digits === true ? [DIGIT] : undefined;
    case 'ByteLevel':
      if (part.add_prefix_space === true) return undefined;
      return part.use_regex === false ? [] : [GPT2];
    default:
      return undefined;
  }
}
