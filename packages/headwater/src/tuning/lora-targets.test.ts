import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { testLayout } from '../../test/support/layout.ts';
import { HeadwaterError } from '../base/errors.ts';
import { rng } from '../base/random.ts';
import { tensor, zeros } from '../base/tensor.ts';
import { Graph } from '../graph/ir.ts';
import { interpret } from '../graph/reference.ts';
import type { Sites } from '../graph/sites.ts';
import { lora } from './lora.ts';
import { fromPeftConfig } from './lora-config.ts';

const golden = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../test/fixtures/training/targets.json'), 'utf8'),
) as {
  cases: { config: Record<string, unknown>; modules: Record<string, { rank: number; scale: number }> }[];
};

const SIZES = { q_proj: [32, 32], k_proj: [32, 16], v_proj: [32, 16], o_proj: [32, 32] } as const;
const MLP_SIZES = { gate_proj: [32, 48], up_proj: [32, 48], down_proj: [48, 32] } as const;

/** The linear modules of a two-layer llama, in network order. */
const linears = [0, 1].flatMap((layer) => [
  ...Object.entries(SIZES).map(([name, [d, e]]) => linear(`model.layers.${layer}.self_attn.${name}`, d, e)),
  ...Object.entries(MLP_SIZES).map(([name, [d, e]]) => linear(`model.layers.${layer}.mlp.${name}`, d, e)),
]);
const layout = testLayout({ linears });

function linear(module: string, inFeatures: number, outFeatures: number) {
  return { module, inFeatures, outFeatures, bias: false, role: 'query' as const };
}

/** Module → rank and the scale that reaches the output, measured on the graph itself. */
function selected(config: Record<string, unknown>): Record<string, { rank: number; scale: number }> {
  const options = fromPeftConfig({ peft_type: 'LORA', ...config });
  const tuning = lora.bindAdapter!(options, layout, {});
  const ranks = new Map(
    tuning.tensors
      .filter(({ name }) => name.includes('lora_A'))
      .map(({ name, shape }) => [name.replace(/^base_model\.model\.|\.lora_A\.weight$/g, ''), shape[0]!]),
  );
  return Object.fromEntries(
    [...ranks].map(([module, rank]) => [module, { rank, scale: scaleOf(module, rank) }]),
  );

  function scaleOf(module: string, rank: number): number {
    const { inFeatures, outFeatures } = linears.find((item) => item.module === module)!;
    const graph = new Graph();
    const { sites } = tuning.wrap(graph, zeroSites(graph), { training: false });
    const x = graph.input('x', 'float32', [1, inFeatures]);
    graph.output('y', sites.linear(x, module, { inFeatures, outFeatures, bias: false, role: 'query' }));
    const ones = (shape: readonly number[]) =>
      tensor('float32', shape, new Float32Array(shape.reduce((a, b) => a * b)).fill(1));
    const feeds = new Map([...tuning.tensors.map(({ name, shape }) => [name, ones(shape)] as const)]);
    const y = interpret(graph, new Map([...feeds, ['x', ones([1, inFeatures])]])).get('y')!;
    return y.data[0]! / (inFeatures * rank);
  }
}

/** A frozen network of zeros: only the adapter's part is left. */
function zeroSites(graph: Graph): Sites {
  const unused = () => {
    throw new Error('LoRA wraps linear modules only');
  };
  return {
    linear: (x, _module, { outFeatures }) => graph.constant(zeros('float32', [x.shape[0]!, outFeatures])),
    parameter: unused,
    embedding: unused,
  };
}

function errorOf(run: () => unknown): HeadwaterError {
  try {
    run();
  } catch (error) {
    if (error instanceof HeadwaterError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('LoRA targets', () => {
  it.each(golden.cases)('select the modules, ranks and scales of PEFT for $config', ({ config, modules }) => {
    const ours = selected(config);
    expect(Object.keys(ours).sort()).toEqual(Object.keys(modules).sort());
    for (const [name, { rank, scale }] of Object.entries(modules)) {
      expect(ours[name]?.rank).toBe(rank);
      expect(ours[name]?.scale).toBeCloseTo(scale, 10);
    }
  });

  it('name the near miss when a target matches nothing', () => {
    const error = errorOf(() =>
      lora.bind(lora.options.parse({ targetModules: ['q_proj', 'vproj'] }), layout),
    );
    expect(error.code).toBe('OPTION_INVALID');
    expect(error.message).toContain('"vproj"');
    expect(error.hint).toContain('Did you mean "v_proj"?');
  });

  it('refuse a pattern, an exclusion and a layer that leave nothing', () => {
    const bind = (options: object) => () => lora.bind(lora.options.parse(options), layout);
    expect(errorOf(bind({ targetModules: 'attn' })).code).toBe('OPTION_INVALID');
    expect(errorOf(bind({ targetModules: ['q_proj'], excludeModules: ['q_proj'] })).message).toContain(
      'without q_proj',
    );
    expect(errorOf(bind({ targetModules: ['q_proj'], layersToTransform: 7 })).message).toContain(
      'in layers 7',
    );
    expect(errorOf(bind({ targetModules: 'all-linear', layersToTransform: 1 })).message).toContain('list');
    expect(errorOf(bind({ targetModules: '(' })).message).toContain('regular expression');
  });

  it('start from Kaiming-uniform A by module and zero B', async () => {
    const options = lora.options.parse({ rank: 16, targetModules: ['down_proj', 'q_proj'] });
    const tuning = lora.bind(options, layout);
    const params = await tuning.init(rng(3), async () => new Float32Array());
    expect([...params.keys()]).toEqual(tuning.tensors.map(({ name }) => name));
    const alone = await lora
      .bind({ ...options, targetModules: ['q_proj'] }, layout)
      .init(rng(3), async () => new Float32Array());
    for (const [name, { data, shape }] of params) {
      if (name.includes('lora_B')) expect(data.every((value) => value === 0)).toBe(true);
      else {
        const bound = 1 / Math.sqrt(shape[1]!);
        const largest = Math.max(...data.map(Math.abs));
        expect(largest).toBeLessThanOrEqual(bound);
        expect(largest).toBeGreaterThan(0.95 * bound);
        // Variance of U(−b, b) is b²/3; 512 values have it within a few per cent.
        const variance = data.reduce((sum, value) => sum + value * value, 0) / data.length;
        expect(variance / (bound ** 2 / 3)).toBeCloseTo(1, 0);
      }
      if (alone.has(name)) expect(alone.get(name)!.data).toEqual(data);
    }
  });
});
