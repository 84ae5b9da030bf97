/** What a method’s record declares of its training, proved on a fixture model. The rest is in `method-conformance.ts`. */

import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Params } from '../../src/base/tensor.ts';
import type { Method } from '../../src/federation/method.ts';
import { decodeParams, encodeParams, selectParams } from '../../src/federation/params.ts';
import { readWeight } from '../../src/models/checkpoint-node.ts';
import type { Model } from '../../src/models/model.ts';
import { distance } from '../training-setup.ts';
import { declared } from './method-conformance.ts';
import { settingOf } from './method-settings.ts';
import { type OneOwner, oneOwner, type TrainedRound } from './method-training.ts';

/** Of the movement: float32, and sums in fixed point. What a method changes on purpose is tens of times more. */
const ROUNDING = 1e-4;

export function methodTrainingConformance(
  method: Method<unknown>,
  all: ReadonlyMap<string, Method<unknown>>,
  model: () => Model,
): void {
  describe(`federated method contract, training: ${method.id}`, () => {
    let owner: OneOwner;
    let weights: string;
    let rounds: readonly [TrainedRound, TrainedRound];
    beforeAll(async () => {
      weights = await weightsOf(model());
      owner = oneOwner(method, model());
      const first = await owner.round(1, await owner.begin());
      rounds = [first, await owner.round(2, first.after)];
    });

    declared(method, 'one-owner', async () => {
      const away = [await rounds[0].distanceToPlain(), await rounds[1].distanceToPlain()];
      return Math.max(...away) < ROUNDING;
    });

    declared(method, 'resumable', async () => {
      const [first, second] = rounds;
      const again = await oneOwner(method, model()).round(2, first.after);
      return bitsOf(again) === bitsOf(second);
    });

    declared(method, 'wire-size', () =>
      rounds.every(({ declared: said, measured }) => measured.up === said.up && measured.down === said.down),
    );

    declared(
      method,
      'base-weights',
      async () => !owner.changesBase && (await weightsOf(model())) === weights,
    );

    for (const { id, when, within } of method.reducesTo ?? [])
      it(`trains as ${id} under ${JSON.stringify(when)}`, async () => {
        const setting = { ...settingOf(method.id), options: when as object };
        const other = { ...setting, options: settingOf(id).options ?? {} };
        const [left, right] = [
          await afterTwoRounds(oneOwner(method, model(), setting)),
          await afterTwoRounds(oneOwner(all.get(id)!, model(), other)),
        ];
        const found = selectParams(left, (name) => right.has(name));
        if (within === undefined) expect(encodeParams(found)).toEqual(encodeParams(right));
        else expect(distance(found, right)).toBeLessThan(ROUNDING);
      });
  });
}

async function afterTwoRounds(owner: OneOwner): Promise<Params> {
  const first = await owner.round(1, await owner.begin());
  return decodeParams((await owner.round(2, first.after)).after.params);
}

function bitsOf({ update, after: { params, state, kept } }: TrainedRound): string {
  return [update, params, state, kept].map((bytes) => Buffer.from(bytes ?? []).toString('hex')).join(' ');
}

async function weightsOf({ definition, weights }: Model): Promise<string> {
  const hash = createHash('sha256');
  for (const name of definition.parameters.keys()) hash.update(await readWeight(weights, name));
  return hash.digest('hex');
}
