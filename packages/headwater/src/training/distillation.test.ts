import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { distance, FIXTURES, setup, TRAIN, toyExamples } from '../../test/training-setup.ts';
import { rng } from '../base/random.ts';
import { type Tensor, tensor } from '../base/tensor.ts';
import { makeBatches } from '../data/batches.ts';
import type { TokenizedExample } from '../data/types.ts';
import { gradients } from '../graph/autodiff.ts';
import { Graph } from '../graph/ir.ts';
import { interpret } from '../graph/reference.ts';
import { lora } from '../tuning/lora.ts';
import { taughtBy } from './distillation.ts';
import type { ScoredDistributions, TargetDistributions } from './teacher.ts';

const { engine, params, model } = await setup('huggingface/llama', ({ definition }) =>
  lora.bind(lora.options.parse({ rank: 2, targetModules: ['q_proj', 'v_proj'] }), definition),
);
const V = model.definition.shape.vocabSize;
const examples = toyExamples([9, 12, 5], V);
const read = { batchSize: 2, maxLength: 64 };

const teacher = (known: readonly TargetDistributions[], more: object) => {
  const of = new Map<TokenizedExample, TargetDistributions>(
    examples.map((example, i) => [example, known[i]!]),
  );
  return taughtBy({ topK: V, temperature: 1, weight: 1, ...more, of: (example) => of.get(example) });
};

describe('distributions', () => {
  it('are the largest of softmax(logits / τ) at each target, and −log p of the labels at τ = 1', async () => {
    const found = await engine.distributions(params, examples, { topK: 3, temperature: 2, ...read });
    const scores = await engine.score(params, examples, read);
    for (const [i, { tokens, supervised }] of examples.entries()) {
      const logits = await engine.logits(params, tokens);
      const targets = [...supervised.keys()].filter((t) => t > 0 && supervised[t] === 1);
      expect(found[i]!.nll).toBeCloseTo(scores[i]!.nll, 4);
      expect(found[i]!.numTargets).toBe(targets.length);
      for (const [nth, t] of targets.entries()) {
        const row = [...logits.subarray((t - 1) * V, t * V)].map((z) => Math.exp(z / 2));
        const total = row.reduce((a, b) => a + b, 0);
        const order = [...row.keys()].sort((a, b) => row[b]! - row[a]!).slice(0, 3);
        expect([...found[i]!.ids.subarray(nth * 3, nth * 3 + 3)]).toEqual(order);
        for (const [j, id] of order.entries())
          expect(found[i]!.probabilities[nth * 3 + j]).toBeCloseTo(row[id]! / total, 5);
      }
    }
  });

  it('are the same however examples are batched', async () => {
    const options = { topK: 4, temperature: 1, maxLength: 64 };
    const [one, all] = await Promise.all(
      [1, 3].map((batchSize) => engine.distributions(params, examples, { ...options, batchSize })),
    );
    for (const [i, { ids }] of one!.entries()) expect([...all![i]!.ids]).toEqual([...ids]);
  });
});

describe('a teacher', () => {
  const train = {
    ...TRAIN,
    steps: 1,
    totalSteps: 1,
    optimizer: { ...TRAIN.optimizer, kind: 'sgd' as const, weightDecay: 0 },
  };

  it('that says what the model says teaches nothing: no loss, no gradient', async () => {
    for (const temperature of [1, 2]) {
      const own = await engine.distributions(params, examples, { topK: V, temperature, ...read });
      const objective = teacher(own, { temperature });
      const { steps } = await engine.train(params, examples, { ...train, batchSize: 3 }, undefined, {
        objective,
      });
      expect(Math.abs(steps[0]!.loss)).toBeLessThan(1e-5);
      expect(steps[0]!.gradNorm).toBeLessThan(1e-5);
    }
  });

  it('of weight 0 is the loss of the labels, with the same gradient', async () => {
    const other = await engine.distributions(params, examples, { topK: V, temperature: 1, ...read });
    const [labels, taught] = await Promise.all(
      [{}, { objective: teacher(other, { weight: 0 }) }].map((local) =>
        engine.train(params, examples, train, undefined, local),
      ),
    );
    expect(taught!.steps[0]!.loss).toBeCloseTo(labels!.steps[0]!.loss, 5);
    expect(distance(taught!.params, labels!.params)).toBeLessThan(1e-6);
  });

  it('that is uniform makes the model more uniform', async () => {
    const uniform = examples.map(({ numTargets }) => ({
      ids: Int32Array.from({ length: numTargets * V }, (_, i) => i % V),
      probabilities: new Float32Array(numTargets * V).fill(1 / V),
    }));
    const options = { ...TRAIN, steps: 12, totalSteps: 12, batchSize: 3 };
    const trained = await engine.train(params, examples, options, undefined, {
      objective: teacher(uniform, {}),
    });
    const loss = trained.steps.map((step) => step.loss);
    expect(Math.min(...loss)).toBeGreaterThan(0);
    expect(loss.at(-1)!).toBeLessThan(0.9 * loss[0]!);
    const entropy = (of: readonly ScoredDistributions[]) =>
      of.reduce((sum, { probabilities }) => sum - probabilities.reduce((s, q) => s + q * Math.log(q), 0), 0);
    const ask = { topK: V, temperature: 1, ...read };
    expect(entropy(await engine.distributions(trained.params, examples, ask))).toBeGreaterThan(
      entropy(await engine.distributions(params, examples, ask)),
    );
  });

  it('has torch’s loss and gradients, by batches of any padding', () => {
    const golden = JSON.parse(readFileSync(`${FIXTURES}/training/distillation.json`, 'utf8'));
    const { M, D, V: vocabulary, K } = golden.shape;
    // One example of M targets; its label ids are those of the golden.
    const tokens = Int32Array.from([0, ...golden.labels]);
    const example = { tokens, supervised: Uint8Array.from(tokens, (_, i) => (i > 0 ? 1 : 0)), numTargets: M };
    const q = { ids: Int32Array.from(golden.ids), probabilities: Float32Array.from(golden.probabilities) };
    const { temperature, weight } = golden;
    const objective = taughtBy({ topK: K, temperature, weight, of: () => q });
    const [batch] = makeBatches([example], { batchSize: 1, maxLength: 16 });
    const numSlots = batch!.targetIndex.length;
    expect(numSlots).toBeGreaterThan(M);
    const part = objective.partOf(batch!, M, [example]);
    const graph = new Graph();
    const rows = graph.input('rows', 'float32', [numSlots, D]);
    const projection = graph.input('projection', 'float32', [vocabulary, D]);
    const ids = graph.input('ids', 'int32', [numSlots]);
    const written = part.write(graph, { rows, weight: projection, softCap: golden.softCap }, ids);
    graph.output('loss', written.loss);
    const [dRows, dProjection] = gradients(written.loss, [rows, projection]);
    graph.output('dRows', dRows!);
    graph.output('dProjection', dProjection!);
    const padded = Float32Array.from(
      { length: numSlots * D },
      (_, i) => golden.rows[i] ?? rng('pad', i).normal(),
    );
    const outputs = interpret(
      graph,
      new Map<string, Tensor>([
        ...part.feeds,
        ['rows', tensor('float32', [numSlots, D], padded)],
        ['projection', tensor('float32', [vocabulary, D], Float32Array.from(golden.projection))],
        ['ids', tensor('int32', [numSlots], batch!.targetIds)],
      ]),
    );
    expect(outputs.get('loss')!.data[0]).toBeCloseTo(golden.loss, 6);
    for (const [name, wanted] of [
      ['dRows', golden.gradRows],
      ['dProjection', golden.gradProjection],
    ] as const)
      for (const [i, value] of (wanted as number[]).entries())
        expect(outputs.get(name)!.data[i]).toBeCloseTo(value, 6);
    expect([...outputs.get('dRows')!.data.subarray(M * D)].every((value) => Math.abs(value) === 0)).toBe(
      true,
    );
  });
});
