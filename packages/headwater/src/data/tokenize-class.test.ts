import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { encoderFixture } from '../../test/support/tiny-encoder.ts';
import { HeadwaterError } from '../base/errors.ts';
import { loadTokenizer } from '../models/tokenizer-node.ts';
import { batchOf, makeBatches } from './batches.ts';
import { readExamples } from './dataset.ts';
import { jsonl } from './readers/jsonl.ts';
import { classification } from './schemas/classification.ts';
import { tokenizeExamples } from './tokenize.ts';
import { classesOf, classIdOf, framedTokens } from './tokenize-class.ts';
import type { Example } from './types.ts';

interface Golden {
  readonly text: string;
  readonly ids: readonly number[];
  readonly plain?: readonly number[];
  readonly maxLength?: number;
}

const goldens = JSON.parse(
  readFileSync(new URL('../../test/fixtures/encoders/goldens.json', import.meta.url), 'utf8'),
) as Record<'tiny-bert' | 'tiny-roberta', readonly Golden[]>;

const { tokenizer } = await loadTokenizer(encoderFixture('tiny-bert'));
const labels = ['weather', 'music', 'bank'];
const codec = { tokenizer, chatTemplate: undefined, labels };

const example = (text: string, label: string): Example => ({
  kind: 'classification',
  text,
  label,
  meta: { where: 'a.csv:7' },
});

function refusal(body: () => unknown): HeadwaterError {
  try {
    body();
  } catch (error) {
    if (error instanceof HeadwaterError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('texts with a class', () => {
  it.each(['tiny-bert', 'tiny-roberta'] as const)('become the tokens of transformers: %s', async (kind) => {
    const loaded = await loadTokenizer(encoderFixture(kind));
    for (const { text, ids, plain, maxLength = 512 } of goldens[kind]) {
      expect([...framedTokens(text, loaded.tokenizer, maxLength).tokens]).toEqual(ids);
      const bare = loaded.tokenizer.encode(text, { addSpecialTokens: false });
      if (plain !== undefined) expect([...bare]).toEqual(plain);
    }
  });

  it('carry their class as the one target, told at the first token', () => {
    const { tokenized, report } = tokenizeExamples(
      [example('play a song', 'music'), example('is it cold', '0')],
      codec,
      { maxLength: 16 },
    );
    expect(tokenized.map(({ classId, numTargets, label }) => [classId, numTargets, label])).toEqual([
      [1, 1, 'music'],
      [0, 1, '0'],
    ]);
    expect(tokenized[0]!.supervised.every((flag) => flag === 0)).toBe(true);
    expect(report).toMatchObject({ numTargets: 2, textsTruncated: 0 });
    const batch = batchOf(tokenized, { batchSize: 3, length: 16 });
    expect([...batch.targetIndex.slice(0, 2)]).toEqual([0, 16]);
    expect([...batch.targetIds.slice(0, 2)]).toEqual([1, 0]);
    expect([...batch.targetMask]).toEqual([1, 1, 0]);
  });

  it('keep their targets apart when they share a row', () => {
    const texts = ['play a song', 'is it cold', 'pay a bill'].map((text, i) => example(text, labels[i]!));
    const { tokenized } = tokenizeExamples(texts, codec, { maxLength: 32 });
    const [batch] = makeBatches(tokenized, { batchSize: 4, maxLength: 32, packing: true });
    const slots = [...batch!.targetMask.keys()].filter((slot) => batch!.targetMask[slot] === 1);
    expect(slots).toHaveLength(3);
    for (const slot of slots) {
      const row = batch!.targetIndex[slot]!;
      const of = tokenized[batch!.targetExample[slot]!]!;
      expect(batch!.positions[row]).toBe(0);
      expect([...batch!.tokens.slice(row, row + of.tokens.length)]).toEqual([...of.tokens]);
      expect(batch!.targetIds[slot]).toBe(of.classId);
    }
  });

  it('are cut from their right or dropped, and counted', () => {
    const long = [example('tell me what the weather is tomorrow morning', 'weather')];
    const cut = tokenizeExamples(long, codec, { maxLength: 6 });
    expect(cut.report).toMatchObject({ numTokenized: 1, textsTruncated: 1 });
    expect([cut.tokenized[0]!.tokens[0], cut.tokenized[0]!.tokens.at(-1)]).toEqual([2, 3]);
    const dropped = tokenizeExamples(long, codec, { maxLength: 6, overflow: 'drop' });
    expect(dropped.report).toMatchObject({ numTokenized: 0, dropped: 1, textsTruncated: 0 });
  });

  it('with a class that the model has not are refused with their place', () => {
    const error = refusal(() => tokenizeExamples([example('x', 'musik')], codec, { maxLength: 8 }));
    expect(error).toMatchObject({ code: 'DATA_INVALID', where: 'a.csv:7' });
    expect(error.message).toMatch(/no class "musik"/);
    expect(error.hint).toMatch(/"music".*weather, music, bank/);
    expect(refusal(() => classIdOf('3', labels, 'x')).message).toMatch(/no class "3"/);
    expect(classIdOf('1', ['1', '0'], 'x')).toBe(0);
  });

  it('and models that write text do not meet', () => {
    const { labels: _, ...causal } = codec;
    const text = example('x', 'music');
    const tokenize = (one: Example, by: typeof causal) => () => tokenizeExamples([one], by, { maxLength: 8 });
    expect(refusal(tokenize(text, causal)).message).toMatch(/no classification head/);
    const plain: Example = { kind: 'text', text: 'x', meta: { where: 't:1' } };
    expect(refusal(tokenize(plain, codec)).message).toMatch(/the model is a classifier/);
  });

  it('name their classes in order, numbers as numbers', () => {
    const named = (...names: string[]) => classesOf(names.map((name) => example('x', name)));
    expect(named('b', 'a', 'b', 'C')).toEqual(['C', 'a', 'b']);
    expect(named('10', '9', '0')).toEqual(['0', '9', '10']);
    expect(classesOf([{ kind: 'text', text: 'x', meta: { where: '' } }])).toBeUndefined();
  });

  it('come from two columns; the class is the label that partitions see', async () => {
    async function* chunks(text: string) {
      yield Buffer.from(text);
    }
    const read = (text: string) => {
      const source = { name: 'a.jsonl', chunks: () => chunks(text) };
      const columns = { text: '{title}: {body}', label: 'topic' };
      return readExamples([{ source, reader: jsonl }], classification, columns, {});
    };
    const rows = await read('{"title":"a","body":"b","topic":2}\n');
    expect(rows).toEqual([
      { kind: 'classification', text: 'a: b', label: '2', meta: { where: 'a.jsonl:1', label: '2' } },
    ]);
    await expect(read('{"title":"a","body":"b","topic":""}\n')).rejects.toThrow(/"topic" is empty/);
  });
});
