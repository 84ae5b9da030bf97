/**
 * A tokenizer.json from `vocab.json` + `merges.txt`, for checkpoints that ship only these. What the pair does not say
 * (normalizer, splitting rule) is known by tokenizer class; an unknown class is refused, never guessed.
 */

import { HeadwaterError } from '../base/errors.ts';
import { didYouMean } from '../base/suggest.ts';

interface ByteLevelClass {
  readonly normalizer: Record<string, unknown> | null;
  /** Splitting rule before the byte-level alphabet; null: GPT-2's, built into ByteLevel. */
  readonly splitPattern: string | null;
}

const GPT2: ByteLevelClass = { normalizer: null, splitPattern: null };

/** Source of the rule: Qwen2Tokenizer of transformers 5. */
const QWEN2: ByteLevelClass = {
  normalizer: { type: 'NFC' },
  splitPattern:
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
};

const CLASSES: Readonly<Record<string, ByteLevelClass>> = {
  GPT2Tokenizer: GPT2,
  CodeGenTokenizer: GPT2,
  GPTNeoXTokenizer: GPT2,
  Qwen2Tokenizer: QWEN2,
};

export interface VocabMergesFiles {
  readonly vocab: Record<string, unknown>;
  /** Text of merges.txt. */
  readonly merges: string;
  readonly config: { readonly tokenizer_class?: unknown; readonly add_prefix_space?: unknown };
  readonly where: string;
}

/** Throws TOKENIZER_INVALID for an unknown `tokenizer_class`. */
export function tokenizerFromVocabMerges(files: VocabMergesFiles): Record<string, unknown> {
  const { normalizer, splitPattern } = classOf(files);
  const byteLevel = {
    type: 'ByteLevel',
    add_prefix_space: files.config.add_prefix_space === true,
    trim_offsets: true,
    use_regex: splitPattern === null,
  };
  const split = { type: 'Split', pattern: { Regex: splitPattern }, behavior: 'Isolated', invert: false };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer,
    pre_tokenizer:
      splitPattern === null ? byteLevel : { type: 'Sequence', pretokenizers: [split, byteLevel] },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      vocab: files.vocab,
      merges: parseMerges(files.merges),
    },
  };
}

function classOf({ config, where }: VocabMergesFiles): ByteLevelClass {
  const name = String(config.tokenizer_class ?? '').replace(/Fast$/, '');
  const found = Object.hasOwn(CLASSES, name) ? CLASSES[name] : undefined;
  if (found !== undefined) return found;
  throw new HeadwaterError(
    'TOKENIZER_INVALID',
    `vocab.json and merges.txt alone do not say how text is split, and tokenizer_class is ${JSON.stringify(name)}; ` +
      didYouMean(name, Object.keys(CLASSES)),
    { where, hint: 'Save it as tokenizer.json: AutoTokenizer.from_pretrained(…).save_pretrained(folder).' },
  );
}

/** One merge a line, two symbols divided by a space; a first line `#version: …` is a header. */
function parseMerges(text: string): [string, string][] {
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
  const body = lines[0]?.startsWith('#version') ? lines.slice(1) : lines;
  return body
    .filter((line) => line !== '')
    .map((line) => {
      const [left, right] = line.split(' ');
      return [left ?? '', right ?? ''];
    });
}
