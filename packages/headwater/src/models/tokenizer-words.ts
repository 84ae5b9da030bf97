/**
 * Makes the backend remember words cheaply: texts repeat them, and its own cache costs more than most of the work it saves
 * (it moves a word to the end of a map at every use). The same tokens in a third of the time. It knows no files.
 */

/** Words in one generation; two are kept, some tens of megabytes at most. */
const CAPACITY = 50_000;
/** Longer words hardly come again. */
const LONGEST = 64;

export interface WordMemo<V> {
  get(word: string): V | undefined;
  put(word: string, value: V): void;
  clear(): void;
}

/** What was not used for a whole generation is forgotten; nothing is ever moved or deleted one by one. */
export function wordMemo<V>(capacity: number): WordMemo<V> {
  let young = new Map<string, V>();
  let old = new Map<string, V>();
  const put = (word: string, value: V) => {
    if (young.size >= capacity) {
      old = young;
      young = new Map();
    }
    young.set(word, value);
  };
  return {
    get(word) {
      const known = young.get(word);
      if (known !== undefined) return known;
      const older = old.get(word);
      if (older !== undefined) put(word, older);
      return older;
    },
    put,
    clear() {
      young = new Map();
      old = new Map();
    },
  };
}

/** What is used of the backend; its classes have more, and its declarations do not say which they are. */
export interface BackendParts {
  readonly model: { readonly cache?: WordMemo<string[]> } | null;
  readonly pre_tokenizer: Splitter | null;
}

export interface Splitter {
  /** Of a sequence. */
  readonly tokenizers?: readonly (Splitter | null)[];
  /** Of the byte-level one. */
  readonly byte_encoder?: object;
  readonly use_regex?: boolean;
  readonly add_prefix_space?: boolean;
  pre_tokenize_text(text: string, options?: object): string[];
}

export function rememberWords({ model, pre_tokenizer: splitter }: BackendParts): void {
  if (model?.cache !== undefined) Object.assign(model.cache, wordMemo<string[]>(CAPACITY));
  // With a rule of its own it gets whole texts, which do not repeat.
  for (const part of splitter?.tokenizers ?? [splitter])
    if (part?.byte_encoder !== undefined && part.use_regex === false && part.add_prefix_space === false)
      rememberBytes(part);
}

function rememberBytes(part: Splitter): void {
  const memo = wordMemo<string[]>(CAPACITY);
  const make = part.pre_tokenize_text.bind(part);
  part.pre_tokenize_text = (word, options) => {
    const known = memo.get(word);
    if (known !== undefined) return known;
    const made = make(word, options);
    if (word.length <= LONGEST) memo.put(word, made);
    return made;
  };
}
