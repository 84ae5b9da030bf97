import { afterEach, expect, it } from 'vitest';
import { setup, TRAIN, toyExamples } from '../../test/training-setup.ts';
import type { Tensor } from '../base/tensor.ts';
import type { Executor } from '../runtime/executor.ts';
import { openExecutor, replicasFor } from '../runtime/replicas-node.ts';
import { lora } from '../tuning/lora.ts';
import { createEngine } from './engine-core.ts';
import { sideBySide } from './side-by-side.ts';

const opened: Executor[] = [];
const open = (replicas: number) => {
  const executor = openExecutor(replicas, {});
  opened.push(executor);
  return executor;
};

afterEach(async () => {
  for (const executor of opened.splice(0)) await executor.dispose();
});

const parts = () =>
  setup('huggingface/llama', (model) =>
    lora.bind(lora.options.parse({ rank: 2, alpha: 4 }), model.definition),
  );

it('replicas of a session train to the same bits as one, whichever does which pass', async () => {
  const { model, tuning, params } = await parts();
  const examples = toyExamples([9, 14, 5, 11, 7, 12], model.definition.shape.vocabSize);
  const options = { ...TRAIN, batchSize: 6, microBatchSize: 2, steps: 3 };
  const trained = async (replicas: number) => {
    const engine = createEngine({ model, tuning, executor: open(replicas) });
    const result = await engine.train(params, examples, options);
    return { result, loss: await engine.loss(result.params, examples, { batchSize: 2, maxLength: 64 }) };
  };
  const one = await trained(1);
  for (const replicas of [2, 3]) expect(await trained(replicas)).toEqual(one);
});

it('a run that another thread refuses fails with its words, and the next one goes on', async () => {
  const { model, tuning, params } = await parts();
  const executor = open(2);
  const runs: Promise<unknown>[] = [];
  const watched: Executor = {
    ...executor,
    async load(graph, weights, sessionOptions) {
      const session = await executor.load(graph, weights, sessionOptions);
      return {
        ...session,
        run(inputs: ReadonlyMap<string, Tensor>) {
          // The first is done here, the second in the other thread, which gets too little.
          const first = session.run(inputs);
          runs.push(session.run(new Map([...inputs].slice(1))));
          return first;
        },
      };
    },
  };
  const engine = createEngine({ model, tuning, executor: watched });
  const examples = toyExamples([8], model.definition.shape.vocabSize);
  const gradients = await engine.gradients(params, examples, { maxLength: 64 });
  expect(Number.isFinite(gradients.loss)).toBe(true);
  await expect(runs[0]).rejects.toMatchObject({
    code: 'RUNTIME_FAILED',
    message: expect.stringContaining('is missing'),
  });
});

it('as many replicas as passes, and no more than threads', () => {
  expect([replicasFor(4, 2), replicasFor(2, 16), replicasFor(1, 8), replicasFor(0, 8)]).toEqual([2, 2, 1, 1]);
});

it('work side by side comes back in order, so many under way, and a failure when it is its turn', async () => {
  let running = 0;
  let most = 0;
  const work = async (item: number) => {
    most = Math.max(most, ++running);
    for (let turns = 0; turns < 10 - item; turns++) await Promise.resolve();
    running -= 1;
    if (item === 4) throw new Error('four');
    return item;
  };
  const seen: number[] = [];
  const all = async () => {
    for await (const item of sideBySide([0, 1, 2, 3, 4, 5, 6], 3, work)) seen.push(item);
  };
  await expect(all()).rejects.toThrow('four');
  expect([seen, most]).toEqual([[0, 1, 2, 3], 3]);
});
