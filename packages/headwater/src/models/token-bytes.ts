/**
 * The bytes of one token, which may be a part of a character: a token on its own cannot be decoded, its bytes can be told.
 * For tables of log-probabilities; texts are decoded whole.
 */

import type { Tokenizer } from './tokenizer.ts';

type Named = Pick<Tokenizer, 'tokenOf' | 'idOf' | 'addedTokens'>;

/** Byte-level vocabularies write every byte as a character, SentencePiece writes ▁ for a space and <0x0A> for a byte. */
export function tokenBytes(tokenizer: Named, id: number): Uint8Array {
  const name = tokenizer.tokenOf(id);
  if (name === undefined) return new Uint8Array();
  const utf8 = (text: string) => new TextEncoder().encode(text);
  if (tokenizer.addedTokens.some((token) => token.id === id)) return utf8(name);
  const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(name)?.[1];
  if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
  const isByteLevel = tokenizer.idOf(SPACE_OF_BYTES) !== undefined && tokenizer.idOf('▁') === undefined;
  return isByteLevel ? fromByteLetters(name) : utf8(name.replaceAll('▁', ' '));
}

/** Every byte-level vocabulary has all 256 letters, this one for the space; in others it is a letter of some language. */
const SPACE_OF_BYTES = 'Ġ';

function fromByteLetters(name: string): Uint8Array {
  const bytes = [...name].flatMap((letter) => {
    const byte = BYTE_OF_LETTER.get(letter);
    return byte === undefined ? [...new TextEncoder().encode(letter)] : [byte];
  });
  return Uint8Array.from(bytes);
}

/** GPT-2's alphabet (Radford et al. 2019): printable Latin-1 stands for itself, the others for the letters from U+0100 on. */
const BYTE_OF_LETTER = new Map<string, number>();
for (let byte = 0, next = 256; byte < 256; byte++) {
  const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  BYTE_OF_LETTER.set(String.fromCodePoint(printable ? byte : next++), byte);
}
