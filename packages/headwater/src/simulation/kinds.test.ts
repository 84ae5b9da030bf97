/** Federated runs with kinds whose tensors differ in number, rank and names; what they write is read again. */

import { afterAll, describe, expect, it } from 'vitest';
import { smallRun } from '../../test/support/small-run.ts';
import { openCheckpoint } from '../models/checkpoint-node.ts';
import { readAdapterFolder } from '../training/adapter-folder-node.ts';
import { run } from './run.ts';

const small = smallRun({
  ...{ federation: { rounds: 1, localSteps: 1 }, baselines: { localOnly: false, centralised: false } },
});
afterAll(() => small.remove());

describe('owners', { timeout: 60_000 }, () => {
  it.each([
    ['dora', { rank: 2 }],
    ['layers', { layers: 'last:1', finalNorm: true }],
  ])('train together with kind %s', async (kind, options) => {
    const overrides = [`tuning=${JSON.stringify({ kind, ...options })}`, 'workers=1'];
    const { results, resultFolder } = await run(small.recipe, { out: small.out(kind), overrides });
    expect(results.fixedPoint.clamped).toBe(0);
    expect(results.federated.test!.pooled.loss!).toBeLessThan(results.base.test!.pooled.loss!);
    const model = await openCheckpoint(results.recipe.model);
    const { tuning, params } = await readAdapterFolder(resultFolder, model.definition);
    expect(tuning.kind).toBe(kind);
    expect([...params.values()].every(({ data }) => data.every(Number.isFinite))).toBe(true);
  });
});
