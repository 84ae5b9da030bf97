import { expect, it } from 'vitest';
import { unpacked } from '../../test/support/unpack-fixture.ts';
import { tokenBytes } from './token-bytes.ts';
import { loadTokenizer } from './tokenizer-node.ts';

const TEXT = 'Grüße, wörld: 你好 🙂\n\tx = "a\u00adb" <|endoftext|>';

it.each(['tokenizers/gpt2', 'tokenizers/qwen2.5', 'tokenizers/phi3-mini'])(
  'the bytes of the tokens of a text are the bytes of the text: %s',
  async (folder) => {
    const { tokenizer } = await loadTokenizer(await unpacked(folder));
    const ids = [...tokenizer.encode(TEXT, { addSpecialTokens: false })];
    const bytes = ids.flatMap((id) => [...tokenBytes(tokenizer, id)]);
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes));
    // SentencePiece begins a text with a space of its own.
    expect(text.trimStart()).toBe(TEXT);
    expect(tokenBytes(tokenizer, 10_000_000)).toEqual(new Uint8Array());
  },
);
