import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { testLayout } from '../../test/support/layout.ts';
import { rng } from '../base/random.ts';
import { gemma } from '../models/architectures/gemma.ts';
import { gpt2 } from '../models/architectures/gpt2.ts';
import { full } from './full.ts';

const layout = testLayout({
  parameters: new Map([
    ['layer.weight', [64, 96]],
    ['layer.bias', [64]],
    ['norm.weight', [96]],
  ]),
  startAtZero: new Set(['layer.bias']),
});
const noCheckpoint = () => Promise.reject(new Error('the checkpoint was read'));
const fresh = (seed: number) =>
  full.bind(full.options.parse({ start: 'random' }), layout).init(rng(seed), noCheckpoint);

function definition(name: 'gemma' | 'gpt2') {
  const file = new URL(`../../test/fixtures/huggingface/${name}/config.json`, import.meta.url);
  const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  return (name === 'gemma' ? gemma : gpt2).define(config, 'config.json');
}

describe('full tuning from nothing', () => {
  it('draws matrices around 0 with the usual spread, reads no checkpoint', async () => {
    const { data } = (await fresh(1)).get('layer.weight')!;
    const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
    const deviation = Math.sqrt(data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / data.length);
    expect(Math.abs(mean)).toBeLessThan(0.001);
    expect(Math.abs(deviation - 0.02)).toBeLessThan(0.001);
  });

  it('starts scales at 1 and biases at 0', async () => {
    const params = await fresh(1);
    expect(new Set(params.get('norm.weight')!.data)).toEqual(new Set([1]));
    expect(new Set(params.get('layer.bias')!.data)).toEqual(new Set([0]));
  });

  it('is the same for the same seed, another for another', async () => {
    const [first, again, other] = [await fresh(1), await fresh(1), await fresh(2)];
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
  });

  it('knows from the network which vectors are stored around 0', () => {
    expect([...definition('gemma').startAtZero].every((name) => name.endsWith('norm.weight'))).toBe(true);
    expect(definition('gemma').startAtZero).toContain('model.norm.weight');
    const { startAtZero, parameters } = definition('gpt2');
    const vectors = [...parameters].filter(([, shape]) => shape.length === 1).map(([name]) => name);
    expect(vectors.filter((name) => name.endsWith('.bias')).every((name) => startAtZero.has(name))).toBe(
      true,
    );
    expect(vectors.filter((name) => name.endsWith('.weight')).some((name) => startAtZero.has(name))).toBe(
      false,
    );
  });
});
