/** Reads the tokenizer of a model folder on disk. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, systemClock } from '../base/clock.ts';
import { storageError, systemErrorCode } from '../base/io-errors.ts';
import {
  type LoadedTokenizer,
  readTokenizer,
  type TextFolder,
  type TokenizerTexts,
  tokenizerIn,
} from './tokenizer-folder.ts';

/** Throws TOKENIZER_INVALID (absent, malformed or unsupported files). */
export function loadTokenizer(folder: string, clock: Clock = systemClock): Promise<LoadedTokenizer> {
  return tokenizerIn(textsIn(folder), clock);
}

/** Token ids of texts, by a tokenizer that is read when the first text comes. */
export function textEncoder(folder: string): (text: string) => Promise<Int32Array> {
  let loaded: Promise<LoadedTokenizer> | undefined;
  return async (text) => {
    loaded ??= loadTokenizer(folder);
    return (await loaded).tokenizer.encode(text);
  };
}

/** The files as they are, for formats that want vocabulary and merges themselves. Throws TOKENIZER_INVALID. */
export function readTokenizerFiles(folder: string): Promise<TokenizerTexts> {
  return readTokenizer(textsIn(folder));
}

function textsIn(folder: string): TextFolder {
  return {
    where: folder,
    read: (name) => readText(join(folder, name)),
    names: (below) => namesIn(join(folder, below)),
  };
}

/** Empty when there is no such folder. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(cause))) return [];
    throw storageError(cause, 'list the folder', folder, 'TOKENIZER_INVALID');
  }
}

/** undefined when there is no such file. */
async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(cause))) return undefined;
    throw storageError(cause, 'read the file', path, 'TOKENIZER_INVALID');
  }
}
