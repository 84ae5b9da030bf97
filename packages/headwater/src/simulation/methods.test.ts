import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterDigest, type SmallRun, smallRun } from '../../test/support/small-run.ts';
import { methods } from '../federation/methods/registry.ts';
import { type FinishedRun, run } from './run.ts';

let small: SmallRun;
beforeAll(() => {
  small = smallRun({ baselines: { localOnly: false, centralised: false } });
});
afterAll(() => small.remove());

/** What a method needs to make sense of a small LoRA run. */
const OPTIONS: Readonly<Record<string, object>> = {
  fedper: { local: ['v_proj'] },
  chainfed: { lambda: 0 },
  slora: { sparseRounds: 1 },
  fedadapter: { width: 2, growEvery: 1 },
  fedkseed: { seeds: 16 },
  decomfl: { perturbations: 2 },
  fwdllm: { perturbations: 2, candidates: 2 },
  fedbpt: { dimension: 8, population: 4 },
  'shared-personal-prompts': { personalTokens: 2 },
  fedmkt: { rows: 3, length: 32, tokens: 8, topK: 4, clientSteps: 1, serverSteps: 2 },
};

/** What it needs of the rest of the recipe. */
const SGD = ['training.optimizer.kind=sgd'];
const PROMPT = ['tuning={"kind":"prompt-tuning","numVirtualTokens":4}'];
const OVERRIDES: Readonly<Record<string, readonly string[]>> = {
  ...{ fedkseed: SGD, decomfl: SGD, fwdllm: SGD },
  ...{ fedprompt: PROMPT, fedbpt: PROMPT, 'shared-personal-prompts': PROMPT },
  fedadapter: ['tuning={"kind":"adapter","reductionFactor":8}'],
  fedpeptao: ['tuning={"kind":"prefix-tuning","numVirtualTokens":2}'],
  fedmkt: ['data.public={ files: data/test.csv }'],
  scaffold: SGD,
  fednova: SGD,
};

const finished = new Map<string, Promise<FinishedRun>>();

function runOf(id: string, options: object = OPTIONS[id] ?? {}, like = id) {
  const method = `federation.method=${JSON.stringify({ kind: id, ...options })}`;
  const rest = OVERRIDES[like] ?? [];
  const key = JSON.stringify([id, options, rest]);
  const known = finished.get(key);
  if (known !== undefined) return known;
  const running = run(small.recipe, {
    out: small.out(`run-${finished.size}`),
    overrides: ['workers=1', method, ...rest],
  });
  finished.set(key, running);
  return running;
}

const testLoss = ({ results }: FinishedRun) => results.federated.test?.pooled.loss ?? Number.NaN;

describe.each([...methods.keys()])('a run by %s', (id) => {
  it('finishes, and its figures are numbers', async () => {
    const { results } = await runOf(id);
    expect(results.federated.test?.pooled.loss).toBeTypeOf('number');
    expect(results.params).toMatch(/^[0-9a-f]{64}$/);
  });

  for (const { id: other, when, within } of methods.get(id)!.reducesTo ?? [])
    it(`is ${other} with ${JSON.stringify(when)}`, async () => {
      const [left, right] = [await runOf(id, when as object), await runOf(other, OPTIONS[other], id)];
      if (within === undefined) expect(adapterDigest(left.folder)).toBe(adapterDigest(right.folder));
      else expect(testLoss(left)).toBeCloseTo(testLoss(right), 3);
    });
});

it('half of the factors are half of the bytes', async () => {
  const [whole, half] = [await runOf('fedavg'), await runOf('ffa-lora')];
  expect(half.results.bytes.up / whole.results.bytes.up).toBeLessThan(0.65);
});

it('what corrects the base is exported as a whole model, with ranks by owner on the wire', async () => {
  const { folder, results } = await runOf('flora', { ranks: { owners: { ann: 1 } } });
  expect(existsSync(join(folder, 'model', 'model.safetensors'))).toBe(true);
  expect(existsSync(join(folder, 'adapter'))).toBe(false);
  const whole = await runOf('zeropad');
  expect(results.bytes.up).toBeLessThan(whole.results.bytes.up);
});
