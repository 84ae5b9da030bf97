import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { settingOf } from '../../test/support/method-settings.ts';
import { type SmallRun, smallRun } from '../../test/support/small-run.ts';
import { methods } from '../federation/methods/registry.ts';
import { type FinishedRun, run } from './run.ts';

let small: SmallRun;
beforeAll(() => {
  small = smallRun({ baselines: { localOnly: false, centralised: false } });
});
afterAll(() => small.remove());

const finished = new Map<string, Promise<FinishedRun>>();

function runOf(id: string, options: object = settingOf(id).options ?? {}) {
  const method = `federation.method=${JSON.stringify({ kind: id, ...options })}`;
  const { tuning, sgd, overrides = [] } = settingOf(id);
  const rest = [
    ...(tuning === undefined ? [] : [`tuning=${JSON.stringify(tuning)}`]),
    ...(sgd ? ['training.optimizer.kind=sgd'] : []),
    ...overrides,
  ];
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

describe.each([...methods.keys()])('a run by %s', (id) => {
  it('finishes, and its figures are numbers', async () => {
    const { results } = await runOf(id);
    expect(results.federated.test?.pooled.loss).toBeTypeOf('number');
    expect(results.params).toMatch(/^[0-9a-f]{64}$/);
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

it('every cluster of IFCA is published beside the first', async () => {
  const { folder } = await runOf('ifca');
  const [first, second] = ['adapter', 'adapter-2'].map((name) =>
    readFileSync(join(folder, name, 'adapter_model.safetensors')),
  );
  expect(second).not.toEqual(first);
  expect(second!.byteLength).toBe(first!.byteLength);
});
