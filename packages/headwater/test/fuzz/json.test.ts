/** Strict JSON and the messages of the wire against hostile documents, random bytes and mutated good messages. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { HeadwaterError } from '../../src/base/errors.ts';
import { parseWireJson } from '../../src/federation/wire/json.ts';
import * as messages from '../../src/federation/wire/messages.ts';
import { LIMITS } from '../../src/federation/wire/messages.ts';
import { jsonCorpus } from './json-corpus.ts';
import { expectUnpolluted, mutatedBytes, PARAMETERS } from './support.ts';

const utf8 = (text: string) => new TextEncoder().encode(text);

/** The value, or the fault in words; anything but a refusal is a bug. */
function outcome(bytes: Uint8Array, maxBytes = 2 ** 24): { value?: unknown; refusal?: string } {
  try {
    return { value: parseWireJson(bytes, maxBytes) };
  } catch (error) {
    if (!(error instanceof HeadwaterError) || error.code !== 'REQUEST_REFUSED') throw error;
    expect(error.message.length).toBeLessThan(400);
    return { refusal: error.message };
  }
}

const isSchema = (value: unknown): value is z.ZodType =>
  typeof (value as { safeParse?: unknown }).safeParse === 'function';
const schemas = Object.entries<unknown>(messages).flatMap(([name, value]) =>
  isSchema(value) ? [[name, value] as const] : [],
);

/** One good message of each kind that a stranger may send. */
const digest = 'ab'.repeat(32);
const good: Readonly<Record<string, unknown>> = {
  joinRequest: { token: 't'.repeat(40), publicKey: 'A'.repeat(43), software: 'headwater/0.1' },
  enrolment: { numExamples: 5, numTokens: 50, heldOut: { validation: 1, test: 0 }, lostState: false },
  uploadRequest: { digest, bytes: 12, taskId: 'train/1/a' },
  updateRequest: {
    round: 1,
    base: digest,
    baseModel: digest,
    update: { digest, bytes: 12 },
    stats: { steps: 1, numExamples: 1, numTokens: 1, numTargets: 1, meanLoss: 0.5, lastLoss: null },
  },
  evaluationRequest: {
    evaluation: 'test/base',
    params: digest,
    result: { numExamples: 1, numTargets: 2, scores: { loss: 1.25 } },
  },
  failureRequest: { round: 1, reason: 'out of memory' },
  wireError: { error: { code: 'x', message: 'y', retryAfterMs: 5 } },
  receipt: { run: 'r', round: 1, owner: 'a', update: digest, accepted: true, code: null, reason: null },
};

describe('strict JSON', () => {
  it('has forty hostile documents', () => {
    expect(jsonCorpus).toHaveLength(40);
    expect(new Set(jsonCorpus.map(({ id }) => id)).size).toBe(40);
  });

  it.each(jsonCorpus.map((item) => [item.id, item] as const))('%s', (_, { text, expect: fault }) => {
    const { refusal, value } = outcome(utf8(text));
    if (fault === 'ok') expect(refusal).toBeUndefined();
    else expect(refusal).toContain(`(${fault})`);
    for (const [, schema] of schemas) schema.safeParse(value);
    expectUnpolluted();
  });

  it('a body above the limit is refused unread', () => {
    expect(outcome(new Uint8Array(LIMITS.jsonBytes + 1), LIMITS.jsonBytes).refusal).toMatch(/at most 262144/);
  });

  it('bytes that are not UTF-8 are refused', () => {
    expect(outcome(Uint8Array.of(0x22, 0xff, 0x22)).refusal).toMatch(/not UTF-8/);
  });

  it('agrees with JSON.parse on everything that it takes', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), (text) => {
        const { refusal, value } = outcome(utf8(text));
        if (refusal === undefined) expect(value).toEqual(JSON.parse(text));
      }),
      PARAMETERS,
    );
  });

  it('random bytes and mutated messages are read or refused, nothing else', () => {
    const seeds = Object.values(good).map((message) => utf8(JSON.stringify(message)));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutatedBytes(seeds)), (bytes) => {
        const { value } = outcome(bytes);
        for (const [, schema] of schemas) schema.safeParse(value);
        expectUnpolluted();
      }),
      { ...PARAMETERS, numRuns: 2000 },
    );
  });
});

describe('messages', () => {
  it.each(Object.entries(good))('a good %s is taken', (name, message) => {
    const schema = schemas.find(([id]) => id === name)![1];
    expect(schema.safeParse(message).success).toBe(true);
  });

  it.each(Object.entries(good))('%s with an unknown key is refused', (name, message) => {
    const schema = schemas.find(([id]) => id === name)![1];
    expect(schema.safeParse({ ...(message as object), surplus: 1 }).success).toBe(false);
  });

  it('any value is judged without an exception', () => {
    const anything = fc.anything({ withNullPrototype: true, maxDepth: 4, withBigInt: true, withDate: true });
    fc.assert(
      fc.property(anything, (value) => {
        for (const [, schema] of schemas) schema.safeParse(value);
        expectUnpolluted();
      }),
      PARAMETERS,
    );
  });

  it('each field of a good message may hold anything', () => {
    const hostile = fc.oneof(
      fc.anything({ maxDepth: 3 }),
      fc.constantFrom(
        -1,
        1.5,
        2 ** 53,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        '',
        '../..',
        '\0',
        'x'.repeat(1e5),
      ),
    );
    const field = fc.constantFrom(
      ...Object.entries(good).flatMap(([name, message]) =>
        Object.keys(message as object).map((key) => [name, key] as const),
      ),
    );
    fc.assert(
      fc.property(field, hostile, ([name, key], value) => {
        const schema = schemas.find(([id]) => id === name)![1];
        const parsed = schema.safeParse({ ...(good[name] as object), [key]: value });
        // What a schema lets through has survived a trip over the wire.
        if (parsed.success) expect(outcome(utf8(JSON.stringify(parsed.data))).value).toEqual(parsed.data);
        expectUnpolluted();
      }),
      { ...PARAMETERS, numRuns: 3000 },
    );
  });

  it.each([
    '..',
    '.',
    '../x',
    'a/../b',
    'a..b',
    'a.',
    '-a',
    '',
    'A',
    'a b',
    'a\0',
    'a%2fb',
    'C:\\x',
    '\\\\?\\x',
    'ａ',
    '.hidden',
    `${'a'.repeat(64)}`,
    '😀',
    '\u202eabc',
    'a\n',
    'a\r\nx-evil: 1',
    '\u001b[31m',
  ])('%j is no name of a run or an owner', (text) => {
    expect(messages.name.safeParse(text).success).toBe(false);
  });

  it.each(['', 'ab', 'AB'.repeat(32), `${digest}\n`, `../${digest}`, 'g'.repeat(64)])(
    '%j is no digest',
    (text) => {
      expect(messages.digest.safeParse(text).success).toBe(false);
    },
  );
});
