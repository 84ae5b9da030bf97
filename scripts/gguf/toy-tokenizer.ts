/** A tokenizer for models that have none: one token a character, as many as the model has rows. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Byte-level alphabet of GPT-2 for the printable characters, the space and the end of line. */
const ALPHABET = ['\u0120', '\u010a', ...Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i))];

/** Begin and end. */
const NUM_SPECIAL = 2;

export function writeToyTokenizer(folder: string, vocabSize: number): void {
  const letters = ALPHABET.slice(0, vocabSize - NUM_SPECIAL);
  const fillers = Array.from({ length: vocabSize - letters.length }, (_, i) => `<${i}>`);
  const vocab = Object.fromEntries([...letters, ...fillers].map((token, id) => [token, id]));
  const special = fillers.slice(0, NUM_SPECIAL).map((content) => ({
    id: vocab[content],
    content,
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  }));
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const tokenizer = {
    version: '1.0',
    added_tokens: special,
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: 'BPE', vocab, merges: [], unk_token: null, byte_fallback: false },
  };
  const config = { bos_token: fillers[0], eos_token: fillers[1] };
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config));
}
