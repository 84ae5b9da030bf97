import { describe, expect, it } from 'vitest';
import { at, inlineText, inlineValue, valueIn, withValue } from './text.ts';

const TEXT = `# Why these numbers
name: small # also the folder
federation:
  rounds: 50
  method: { kind: fedavg }
data: { train: { files: a.csv } }
`;

describe('a value written into the text', () => {
  it('changes nothing else: comments, order and the way of writing stay', () => {
    expect(withValue(TEXT, ['federation', 'rounds'], 7)).toBe(TEXT.replace('50', '7'));
    expect(withValue(TEXT, ['federation', 'method', 'kind'], 'fedprox')).toBe(
      TEXT.replace('fedavg', 'fedprox'),
    );
  });

  it('makes the maps on its way, also where something else stands', () => {
    const made = withValue('name: a\n', ['training', 'optimizer', 'learningRate'], 0.001);
    expect(valueIn(made)).toEqual({ name: 'a', training: { optimizer: { learningRate: 0.001 } } });
    expect(valueIn(withValue('tuning: lora\n', ['tuning', 'rank'], 4))).toEqual({ tuning: { rank: 4 } });
    expect(valueIn(withValue('', ['name'], 'a'))).toEqual({ name: 'a' });
  });

  it('goes away with the maps that it leaves empty', () => {
    expect(valueIn(withValue(TEXT, ['data', 'train', 'files'], undefined))).not.toHaveProperty('data');
    expect(valueIn(withValue(TEXT, ['federation', 'rounds'], undefined))).toHaveProperty('federation.method');
  });

  it('is not written into what is no YAML', () => {
    expect(withValue('a: [1', ['a'], 2)).toBe('a: [1');
    expect(valueIn('a: [1')).toBeUndefined();
    expect(valueIn('a: *nowhere')).toBeUndefined();
  });
});

describe('a value on one line', () => {
  it.each([
    ['a text', 'all-linear'],
    ['a number', 0.002],
    ['a list', ['q_proj', 'v_proj']],
    ['a map', { kind: 'none' }],
    ['nothing', undefined],
  ])('%s is the same when it is read again', (_, value) => {
    expect(inlineValue(inlineText(value))).toEqual(value);
  });

  it('that cannot be read is taken as text, for the coordinator to judge', () => {
    expect(inlineValue('[a')).toBe('[a');
  });
});

it('a path that leaves the value leads nowhere', () => {
  expect(at({ a: [{ b: 1 }] }, ['a', 0, 'b'])).toBe(1);
  expect(at({ a: null }, ['a', 'b'])).toBeUndefined();
});
