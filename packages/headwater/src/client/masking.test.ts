import { describe, expect, it } from 'vitest';
import { startWorld, tinyClient, tinyTrainer } from '../../test/support/client-world.ts';
import { addScaled, decodeParams, encodeParams } from '../federation/params.ts';
import type { Manifest } from '../federation/wire/messages.ts';
import { agreedMasking } from './masking.ts';

const counts = { numExamples: 10, numTokens: 100, heldOut: { validation: 0, test: 0 } };
const signed = (weighting?: string) =>
  ({
    recipe: {
      federation: weighting === undefined ? {} : { weighting },
      privacy: { secureAggregation: { mode: 'secagg-plus' } },
    },
  }) as unknown as Manifest;
const asked = (weight: number) => ({ masking: { attempt: 1, weight, fractionBits: 16, range: 1 } });

describe('the weight that an update is masked with', () => {
  it.each([
    ['uniform', 1],
    ['examples', 10],
    [undefined, 10],
    ['tokens', 100],
  ])('by %s is no more than what the owner counts by', (weighting, most) => {
    expect(agreedMasking(signed(weighting), asked(most), counts)).toEqual(asked(most).masking);
    expect(() => agreedMasking(signed(weighting), asked(most + 1), counts)).toThrow(`${most} at most`);
  });
});

describe('an update with values that are no numbers', () => {
  it('costs its owner the round, and masks nothing', async () => {
    const assumed = { adversaries: 0.1, dropouts: 0.2 };
    const secureAggregation = { mode: 'secagg-plus', assumed, stepMs: 5_000 } as const;
    const size = { cohortSize: 4, quorum: 3, minOwners: 4, rounds: 1, evaluated: false };
    const world = await startWorld({ ...size, secureAggregation });
    const broken = {
      ...tinyTrainer('dan'),
      async train(...given: Parameters<ReturnType<typeof tinyTrainer>['train']>) {
        const trained = await tinyTrainer('dan').train(...given);
        const update = decodeParams(trained.update);
        return { ...trained, update: encodeParams(addScaled(update, update, Number.POSITIVE_INFINITY)) };
      },
    };
    const outcomes = await Promise.all(
      ['ann', 'ben', 'cid', 'dan'].map(async (owner) =>
        tinyClient(world, {
          ...{ owner, token: await world.token(owner) },
          change: () => ({ openTrainer: async () => (owner === 'dan' ? broken : tinyTrainer(owner)) }),
        }),
      ),
    );
    expect(outcomes).toMatchObject(Array(4).fill({ status: 'finished' }));
    const events = (await world.coordinator.operator.events('demo', 0)).map(({ event }) => event);
    expect(events).toContainEqual(
      expect.objectContaining({
        type: 'client-failed',
        owner: 'dan',
        reason: expect.stringMatching(/UPDATE_REJECTED/),
      }),
    );
    await world.close();
  });
});
