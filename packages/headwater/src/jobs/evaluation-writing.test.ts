import { describe, expect, it } from 'vitest';
import { setup } from '../../test/training-setup.ts';
import type { Example } from '../data/types.ts';
import { plain } from '../federation/compression/none.ts';
import { bindMethod } from '../federation/method.ts';
import { fedavg } from '../federation/methods/fedavg.ts';
import { encodeParams } from '../federation/params.ts';
import { loadTokenizer } from '../models/tokenizer-node.ts';
import { memoryBlobs } from '../storage/memory-blobs.ts';
import { passAtK } from '../training/tasks/pass-at-k.ts';
import { perplexity } from '../training/tasks/perplexity.ts';
import { rougeL } from '../training/tasks/rouge-l.ts';
import type { EvaluationTask } from '../training/tasks/task.ts';
import { lora } from '../tuning/lora.ts';
import { judgedTasks, programsOf, summarise } from './evaluation-figures.ts';
import { type EvaluationSet, prepareEvaluation } from './evaluation-set.ts';
import { createJobRunner } from './job-runner.ts';
import type { Pool } from './pool.ts';
import { answerHere, answerSet } from './scoring.ts';

const { engine, params, model, tuning } = await setup('models/stories260K', ({ definition }) =>
  lora.bind(lora.options.parse({ rank: 2, targetModules: ['q_proj', 'v_proj'] }), definition),
);
const { tokenizer } = await loadTokenizer(model.folder);
const codec = { tokenizer, chatTemplate: undefined };
const limits = { maxTokens: 64, stopTokenIds: model.eosTokenIds };
const BEGINNINGS = ['Once upon a', 'The big dog', 'Lily', 'One day, the cat', 'Tom and his', 'In the park'];
const examples = BEGINNINGS.map((prompt, i): Example => {
  const meta = { where: `t:${i}`, owner: i % 2 === 0 ? 'ann' : 'ben', group: i < 4 ? 'early' : 'late' };
  return { kind: 'completion', prompt, completion: ' time there was a girl', meta };
});

function setOf(given: object, more: object = {}): EvaluationSet {
  const options = rougeL.options.parse({ maxNewTokens: 8, ...given });
  const tasks = [{ task: rougeL as EvaluationTask<unknown>, options }];
  return prepareEvaluation(examples, tasks, { codec, maxLength: 64, seed: 5, writing: limits, ...more });
}

const recipe = (batchSize: number) =>
  ({ evaluation: { batchSize }, data: { maxLength: 64 } }) as Parameters<typeof answerSet>[3];

/** A pool of one worker that is no thread. */
async function answered(set: EvaluationSet, own: readonly string[] = [], batchSize = 4) {
  const blobs = memoryBlobs();
  const { pieces, pieceOwner: owners, prompts, promptOwner: promptOwners } = set;
  const heldOut = { pieces, owners, prompts, promptOwners };
  const runner = createJobRunner({
    ...{ engine, tuning, blobs, compression: plain, maxUpdateNorm: null },
    method: bindMethod(fedavg, fedavg.options.parse({})),
    ...{ train: new Map(), heldOut: { test: heldOut } },
    ...{ initialParams: async () => params, exportParams: async () => undefined },
    tokenizer: async () => tokenizer,
  });
  const pool = {
    size: 1,
    run: async (job: Parameters<Pool['run']>[0]) => ({ result: await runner.run(job), tookMs: 1 }),
  } as unknown as Pool;
  const changed = new Map(
    [...params].map(([name, value]) => [name, { ...value, data: value.data.map((x) => -3 * x) }]),
  );
  const digest = await blobs.put(encodeParams(changed));
  const personal = Object.fromEntries(own.map((owner) => [owner, digest]));
  const what = { split: 'test', params: await blobs.put(encodeParams(params)), personal } as const;
  return (await answerSet(pool, set, what, recipe(batchSize), 0)).answers;
}

describe('texts for an evaluation set', () => {
  it('are the same from workers and from an engine here, whatever runs side by side', async () => {
    const set = setOf({});
    const byWorkers = await answered(set);
    expect(byWorkers.outputs).toHaveLength(BEGINNINGS.length);
    expect(byWorkers.outputs[0]).toMatch(/^ \w/);
    expect((await answered(set, [], 1)).outputs).toEqual(byWorkers.outputs);
    const here = await answerHere({ engine, tokenizer, params }, set, recipe(3));
    expect(here.outputs).toEqual(byWorkers.outputs);
    // The batch may change the last bits of a score, never a text.
    for (const [i, { nll }] of here.scores.entries()) expect(nll).toBeCloseTo(byWorkers.scores[i]!.nll, 4);
  });

  it('come from an owner’s own params for the owner’s prompts', async () => {
    const set = setOf({});
    const [shared, own] = [await answered(set), await answered(set, ['ann'])];
    const of = (owner: string, { outputs }: typeof own) =>
      outputs.filter((_, i) => set.promptOwner[i] === owner);
    expect(of('ben', own)).toEqual(of('ben', shared));
    expect(of('ann', own)).not.toEqual(of('ann', shared));
  });

  it('are drawn by the seed, each sample from its own stream', async () => {
    const seeded = async (seed: number) => (await answered(setOf({ temperature: 1 }, { seed }))).outputs;
    expect(await seeded(1)).toEqual(await seeded(1));
    expect(await seeded(2)).not.toEqual(await seeded(1));
  });

  it('give figures with intervals, by owner and by group, the same every time', async () => {
    const set = setOf({}, { resamples: 200 });
    const answers = await answered(set);
    const result = summarise(set, answers);
    expect(summarise(set, answers)).toEqual(result);
    const [low, high] = result.intervals!.rougeL!;
    expect(low).toBeLessThanOrEqual(result.pooled.rougeL!);
    expect(high).toBeGreaterThanOrEqual(result.pooled.rougeL!);
    expect(result.intervals!.loss![0]).toBeLessThan(result.pooled.loss!);
    expect(Object.keys(result.owners)).toEqual(['ann', 'ben']);
    expect(result.groups).toMatchObject({ early: { numExamples: 4 }, late: { numExamples: 2 } });
    const judged = judgedTasks(set, answers).find(({ task }) => task.id === 'rouge-l')!.judged;
    const mean = judged.slice(4).reduce((sum, { verdict }) => sum + verdict!.rougeL! / 2, 0);
    expect(result.groups!.late!.scores.rougeL).toBeCloseTo(mean, 12);
    expect(summarise(setOf({}), answers).intervals).toBeUndefined();
  });
});

describe('prompts of an evaluation set', () => {
  it('that are too long lose tokens behind their first, and are counted', () => {
    const set = setOf({ instruction: 'word '.repeat(40) });
    const whole = setOf({});
    expect(set.textsCut).toBe(BEGINNINGS.length);
    expect(whole.textsCut).toBe(0);
    for (const [i, { tokens }] of set.prompts.entries()) {
      expect(tokens).toHaveLength(64 - 8);
      const end = whole.prompts[i]!.tokens;
      expect(tokens[0]).toBe(end[0]);
      expect(tokens.at(-1)).toBe(end.at(-1));
    }
  });

  it('need room for the longest answer', () => {
    expect(() => setOf({ maxNewTokens: 64 })).toThrow(/64 tokens.*64 positions/);
  });

  it('are left out where nothing is written, with their tasks', () => {
    const options = rougeL.options.parse({});
    const tasks = [{ task: rougeL as EvaluationTask<unknown>, options }];
    const set = prepareEvaluation(examples, tasks, { codec, maxLength: 64 });
    expect(set.tasks.map(({ task }) => task.id)).toEqual([perplexity.id]);
    expect(set.prompts).toEqual([]);
  });

  it('have the samples of one request together, for its programs', () => {
    const program = { before: 'const f = () => {\n', after: '\nf()' };
    const problems = examples.map((example) => ({ ...example, meta: { ...example.meta, program } }));
    const options = passAtK.options.parse({ samples: 3, maxNewTokens: 8, temperature: 1 });
    const tasks = [{ task: passAtK as EvaluationTask<unknown>, options }];
    const set = prepareEvaluation(problems, tasks, { codec, maxLength: 64, writing: limits });
    expect(set.prompts).toHaveLength(18);
    expect(new Set(set.prompts.map(({ seedPath }) => seedPath.join())).size).toBe(18);
    const outputs = set.prompts.map((_, i) => `  return ${i}\n}`);
    const [first, second] = [...programsOf(set, outputs).values()];
    expect(first!.map(({ source }) => source)).toEqual(
      [0, 1, 2].map((n) => `const f = () => {\n  return ${n}\n}\nf()`),
    );
    expect(second![0]!.source).toContain('return 3');
  });
});
