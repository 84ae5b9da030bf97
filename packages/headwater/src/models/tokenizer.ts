/**
 * Text ↔ token ids, by `@huggingface/tokenizers` over Hugging Face's tokenizer files. It refuses to know files, models
 * and chats: the loader reads, `checkVocabulary` compares sizes, chat-template.ts renders.
 */

import { Tokenizer as Backend } from '@huggingface/tokenizers';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import { type AddedToken, normalizeFiles, type TokenizerFiles } from './tokenizer-files.ts';
import { type BackendParts, rememberWords } from './tokenizer-words.ts';

export interface EncodeOptions {
  /** Apply the post-processor (begin/end tokens as the tokenizer's files say). Default true. */
  readonly addSpecialTokens?: boolean;
}

export interface DecodeOptions {
  /** Leave special tokens out of the text. Default true. */
  readonly skipSpecialTokens?: boolean;
}

export interface Tokenizer {
  /** Largest id + 1; the model's embedding must have at least as many rows. */
  readonly vocabSize: number;
  /** Tokens recognised anywhere in a text before it is split, in file order. */
  readonly addedTokens: readonly AddedToken[];
  readonly specialTokenIds: ReadonlySet<number>;
  /** Named special tokens: `bos_token` → `<s>` …, as chat templates see them. */
  readonly specialTokens: ReadonlyMap<string, string>;
  readonly bosTokenId: number | undefined;
  readonly eosTokenId: number | undefined;
  readonly padTokenId: number | undefined;
  encode(text: string, options?: EncodeOptions): Int32Array;
  /** Ids without a token (padding rows of the model) are skipped; broken UTF-8 becomes U+FFFD. */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  idOf(token: string): number | undefined;
  tokenOf(id: number): string | undefined;
}

/** Throws TOKENIZER_INVALID when the files are malformed or use a part that is not supported. */
export function makeTokenizer(files: TokenizerFiles): Tokenizer {
  const { tokenizer, config, addedTokens, specialTokens, vocabSize } = normalizeFiles(files);
  const backend = makeBackend(tokenizer, config, files.where);
  const idOfNamed = (name: string) => {
    const content = specialTokens.get(name);
    return content === undefined ? undefined : backend.token_to_id(content);
  };
  const specialTokenIds = new Set(addedTokens.filter((token) => token.special).map((token) => token.id));
  // As in transformers: the clean-up of spaces would corrupt what a BPE decoder restored exactly.
  const cleanUp = tokenizer.model.type !== 'BPE' && config.clean_up_tokenization_spaces === true;

  return {
    vocabSize,
    addedTokens,
    specialTokenIds,
    specialTokens,
    bosTokenId: idOfNamed('bos_token'),
    eosTokenId: idOfNamed('eos_token'),
    padTokenId: idOfNamed('pad_token'),
    encode: (text, { addSpecialTokens = true } = {}) => {
      const encode = () => backend.encode(text, { add_special_tokens: addSpecialTokens }).ids;
      const ids = guarded('encode', files.where, encode);
      return Int32Array.from(withoutGaps(ids, text, files.where));
    },
    decode: (ids, { skipSpecialTokens = true } = {}) => {
      const kept = [...ids].filter(
        (id) => backend.id_to_token(id) !== undefined && !(skipSpecialTokens && specialTokenIds.has(id)),
      );
      const decode = () => backend.decode(kept, { clean_up_tokenization_spaces: cleanUp });
      return kept.length === 0 ? '' : guarded('decode', files.where, decode);
    },
    idOf: (token) => backend.token_to_id(token),
    tokenOf: (id) => backend.id_to_token(id),
  };
}

function makeBackend(tokenizer: object, config: object, where: string): Backend {
  try {
    const backend = new Backend(tokenizer, config);
    rememberWords(backend as unknown as BackendParts);
    return backend;
  } catch (cause) {
    const reason = messageOf(cause);
    throw new HeadwaterError('TOKENIZER_INVALID', `the tokenizer cannot be built: ${reason}`, {
      where,
      cause,
      hint: 'Save it again with transformers: AutoTokenizer.from_pretrained(…).save_pretrained(folder).',
    });
  }
}

/** Some malformed parts are noticed by the backend only when it uses them, as a TypeError of its own. */
function guarded<T>(action: string, where: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    const reason = messageOf(cause);
    throw new HeadwaterError('TOKENIZER_INVALID', `the tokenizer cannot ${action}: ${reason}`, {
      where,
      cause,
    });
  }
}

/** A vocabulary without unknown token may fail to name a piece of text; that must not become NaN or id 0. */
function withoutGaps(ids: readonly (number | undefined)[], text: string, where: string): readonly number[] {
  if (ids.some((id) => id === undefined)) {
    throw new HeadwaterError(
      'TOKENIZER_INVALID',
      `the vocabulary has no token for a part of ${JSON.stringify(text.slice(0, 60))} and no unknown token`,
      { where },
    );
  }
  return ids as readonly number[];
}

/**
 * A tokenizer may be smaller than the model (embeddings are padded to round sizes), never larger.
 * Throws TOKENIZER_INVALID when an id has no embedding row.
 */
export function checkVocabulary(
  tokenizer: Pick<Tokenizer, 'vocabSize' | 'tokenOf'>,
  modelVocabSize: number,
  where: string,
): void {
  if (tokenizer.vocabSize <= modelVocabSize) return;
  const last = tokenizer.vocabSize - 1;
  throw new HeadwaterError(
    'TOKENIZER_INVALID',
    `the tokenizer has ids up to ${last} (${JSON.stringify(tokenizer.tokenOf(last))}), the model's vocabulary ` +
      `ends at ${modelVocabSize - 1}`,
    { where, hint: 'Use the tokenizer that was published with this checkpoint, or resize its embeddings.' },
  );
}
