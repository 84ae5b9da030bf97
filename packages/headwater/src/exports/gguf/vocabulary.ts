/** Tokens by id with llama.cpp's kinds of tokens, for both tokenizer families. */

import type { AddedToken, NormalizedFiles } from '../../models/tokenizer-files.ts';

/** `llama_token_type`. */
export const TOKEN_TYPES = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export interface VocabularyTable {
  readonly json: NormalizedFiles['tokenizer'];
  /** Token → id of the model part. */
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly addedTokens: readonly AddedToken[];
  /** Rows of the embedding: tokens beyond the tokenizer's are padding. */
  readonly vocabSize: number;
  /** For messages. */
  readonly where: string;
}

export interface TokenList {
  readonly tokens: string[];
  readonly types: number[];
}

/** Added tokens over the vocabulary over padding. Special tokens are controls, other added tokens are matched in any text. */
export function tokenList({ vocabulary, addedTokens, vocabSize }: VocabularyTable): TokenList {
  const tokens = Array.from({ length: vocabSize }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(vocabSize).fill(TOKEN_TYPES.unused);
  for (const [token, id] of vocabulary) {
    tokens[id] = token;
    types[id] = TOKEN_TYPES.normal;
  }
  for (const { id, content, special } of addedTokens) {
    tokens[id] = content;
    types[id] = special ? TOKEN_TYPES.control : TOKEN_TYPES.userDefined;
  }
  return { tokens, types };
}

/** `[left, right]` or `"left right"`, whichever the file has. */
export function mergesOf(json: NormalizedFiles['tokenizer']): [string, string][] {
  const merges = json.model.merges;
  if (!Array.isArray(merges)) return [];
  return merges.map((merge: unknown) => {
    const [left, right] = Array.isArray(merge) ? merge : String(merge).split(' ');
    return [String(left), String(right)];
  });
}
