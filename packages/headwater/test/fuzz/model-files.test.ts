/** The files of a base model and of an adapter that a client fetches: config, tokenizer, chat template, PEFT adapter. */

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { HeadwaterError } from '../../src/base/errors.ts';
import type { Tensor } from '../../src/base/tensor.ts';
import { makeChatTemplate } from '../../src/models/chat-template.ts';
import { definitionOf } from '../../src/models/registry.ts';
import { parseSafetensors } from '../../src/models/safetensors.ts';
import { makeTokenizer } from '../../src/models/tokenizer.ts';
import { tokenizerFromVocabMerges } from '../../src/models/tokenizer-vocab-merges.ts';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, parseAdapter } from '../../src/tuning/peft-adapter.ts';
import { tuningKinds } from '../../src/tuning/registry.ts';
import { expectUnpolluted, mutatedBytes, PARAMETERS } from './support.ts';

const fixture = (name: string) => readFileSync(new URL(`../fixtures/${name}`, import.meta.url));
const json = (name: string) => JSON.parse(fixture(name).toString('utf8')) as Record<string, unknown>;

/** Runs it; a refusal with one of the codes is as good as a success, anything else is a bug. */
function refusedOr<T>(codes: readonly string[], body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    if (error instanceof HeadwaterError && codes.includes(error.code)) return undefined;
    throw error;
  }
}

/** Every place in a document: `['model', 'vocab', 3]`. */
function places(value: unknown, path: readonly PropertyKey[] = []): PropertyKey[][] {
  if (value === null || typeof value !== 'object') return [[...path]];
  const entries = Object.entries(value).slice(0, 40);
  return [[...path], ...entries.flatMap(([key, item]) => places(item, [...path, key]))];
}

function replacedAt(value: unknown, [head, ...rest]: readonly PropertyKey[], by: unknown): unknown {
  if (head === undefined) return by;
  const copy: unknown = Array.isArray(value) ? [...value] : { ...(value as object) };
  const record = copy as Record<PropertyKey, unknown>;
  Object.defineProperty(record, head, {
    value: replacedAt(record[head], rest, by),
    enumerable: true,
    configurable: true,
    writable: true,
  });
  return copy;
}

const hostile = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    '',
    0,
    -1,
    1.5,
    1e308,
    2 ** 53,
    true,
    [],
    {},
    'constructor',
    '__proto__',
    '\0',
    '../x',
    'x'.repeat(5000),
  ),
  fc.constantFrom<unknown>(
    [[]],
    [null],
    { type: 'constructor' },
    { content: 7 },
    JSON.parse('{"__proto__":{"polluted":true}}'),
  ),
  fc.json({ maxDepth: 2 }).map((text) => JSON.parse(text) as unknown),
);

/** A document with one to three of its places replaced by something hostile. */
function damaged(document: unknown): fc.Arbitrary<unknown> {
  const all = places(document);
  const change = fc.tuple(fc.constantFrom(...all), hostile);
  return fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) =>
    changes.reduce<unknown>((value, [path, by]) => {
      const reachable = path.every(
        (_, i) =>
          typeof valueAt(value, path.slice(0, i)) === 'object' && valueAt(value, path.slice(0, i)) !== null,
      );
      return reachable ? replacedAt(value, path, by) : value;
    }, document),
  );
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((here, key) => (here as Record<PropertyKey, unknown> | null)?.[key], value);
}

describe('config.json', () => {
  it.each(['llama', 'mistral', 'qwen2', 'qwen3'])(
    'a damaged one of %s is refused or describes a model',
    (name) => {
      fc.assert(
        fc.property(damaged(json(`huggingface/${name}/config.json`)), (config) => {
          refusedOr(['MODEL_INVALID', 'MODEL_UNSUPPORTED'], () => definitionOf(config, 'config.json'));
        }),
        PARAMETERS,
      );
      expectUnpolluted();
    },
  );
});

describe('tokenizer files', () => {
  // The backend comments on parts that it does not know.
  beforeAll(() => void vi.spyOn(console, 'warn').mockImplementation(() => undefined));
  afterAll(() => void vi.restoreAllMocks());

  const tokenizer = json('models/stories260K/tokenizer.json');
  const config = json('models/stories260K/tokenizer_config.json');
  const use = (files: { tokenizer: unknown; config: unknown }) =>
    refusedOr(['TOKENIZER_INVALID'], () => {
      const made = makeTokenizer({ ...files, where: 'folder' });
      made.decode(made.encode('Once upon a time, <s> 😀'));
    });

  it('the one that is damaged works', () => {
    expect(makeTokenizer({ tokenizer, config, where: 'f' }).encode('Once').length).toBeGreaterThan(0);
  });

  it('a damaged tokenizer.json is refused or works', () => {
    fc.assert(
      fc.property(damaged(tokenizer), (file) => void use({ tokenizer: file, config })),
      PARAMETERS,
    );
    expectUnpolluted();
  });

  it('a damaged tokenizer_config.json is refused or works', () => {
    fc.assert(
      fc.property(damaged(config), (file) => void use({ tokenizer, config: file })),
      PARAMETERS,
    );
    expectUnpolluted();
  });

  it('damaged vocab.json and merges.txt are refused or work', () => {
    const good = { vocab: { a: 0, b: 1, ab: 2 }, merges: '#version: 0.2\na b\n' };
    const merges = mutatedBytes([Buffer.from(good.merges)]).map((bytes) => Buffer.from(bytes).toString());
    fc.assert(
      fc.property(damaged(good.vocab), merges, (vocab, text) => {
        if (vocab === null || typeof vocab !== 'object' || Array.isArray(vocab)) return;
        const files = {
          vocab: vocab as Record<string, unknown>,
          merges: text,
          config: { tokenizer_class: 'GPT2Tokenizer' },
          where: 'f',
        };
        const made = refusedOr(['TOKENIZER_INVALID'], () => tokenizerFromVocabMerges(files));
        if (made !== undefined) use({ tokenizer: made, config: {} });
      }),
      PARAMETERS,
    );
    expectUnpolluted();
  });
});

describe('chat templates', () => {
  const good =
    "{% for message in messages %}{{ message['role'] }}: {{ message.content | trim }}\n{% endfor %}";
  const context = {
    specialTokens: new Map([['bos_token', '<s>']]),
    clock: { nowMs: () => 0 },
    where: 'folder',
  };
  const render = (source: string) =>
    refusedOr(['TOKENIZER_INVALID', 'DATA_INVALID'], () =>
      makeChatTemplate(source, context).render([{ role: 'user', content: 'hi' } as { role: string }]),
    );

  it('damaged ones are refused or render', () => {
    const source = mutatedBytes([Buffer.from(good)]).map((bytes) => Buffer.from(bytes).toString());
    fc.assert(
      fc.property(source, (text) => void render(text)),
      PARAMETERS,
    );
    expectUnpolluted();
  });

  it.each([
    "{{ messages.constructor.constructor('return process')() }}",
    "{{ ''.constructor.constructor('return 1')() }}",
    "{{ messages['__proto__'] }}{% set messages.__proto__.polluted = true %}",
    '{% set x = namespace() %}{% set x.__proto__ = 1 %}{% set x.constructor = 2 %}',
    '{{ raise_exception.constructor }}',
    `${'{% if true %}'.repeat(5000)}`,
    `${'{{ '.repeat(5000)}`,
    `${'('.repeat(20_000)}`,
    `{{ ${'('.repeat(20_000)} }}`,
  ])('%.60s reaches no code', (source) => {
    expect(String(render(source) ?? '')).not.toMatch(/\[object process\]|native code/);
    expectUnpolluted();
  });
});

describe('PEFT adapters', () => {
  const config = json(`training/written-adapter/${ADAPTER_CONFIG}`);
  const { tensors } = parseSafetensors(fixture(`training/written-adapter/${ADAPTER_WEIGHTS}`), {
    mode: 'upload',
  });
  const layout = definitionOf(json('huggingface/llama/config.json'), 'config.json');
  const parse = (settings: unknown, weights: ReadonlyMap<string, Tensor>) =>
    refusedOr(['ADAPTER_INVALID', 'OPTION_INVALID'], () =>
      parseAdapter(settings, weights, layout, tuningKinds),
    );

  it('the one that is damaged fits', () => {
    expect(parseAdapter(config, tensors, layout, tuningKinds).params.size).toBe(tensors.size);
  });

  it('a damaged configuration is refused or fits', () => {
    fc.assert(
      fc.property(damaged(config), (settings) => void parse(settings, tensors)),
      PARAMETERS,
    );
    expectUnpolluted();
  });

  it('missing and foreign tensors are refused', () => {
    for (const name of tensors.keys()) {
      const without = new Map([...tensors].filter(([key]) => key !== name));
      expect(parse(config, without)).toBeUndefined();
    }
    expect(parse(config, new Map([...tensors, ['x', [...tensors.values()][0]!]]))).toBeUndefined();
  });
});
