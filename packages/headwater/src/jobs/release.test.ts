import { describe, expect, it } from 'vitest';
import { tensor } from '../base/tensor.ts';
import { plain } from '../federation/compression/none.ts';
import { planFixedPoint } from '../federation/fixed-point.ts';
import { bindMethod } from '../federation/method.ts';
import { fedavg } from '../federation/methods/fedavg.ts';
import { encodeParams } from '../federation/params.ts';
import { memoryBlobs } from '../storage/memory-blobs.ts';
import { aggregateMembers } from './aggregation.ts';
import { type NoiseOrder, simulatedNoise } from './release.ts';

const tensors = ['A', 'B'].map((factor) => ({ name: `q_proj.lora_${factor}.weight`, shape: [2, 2] }));
const fixedPoint = planFixedPoint(tensors, { fractionBits: 30, range: 8 });
const filled = (value: number) =>
  encodeParams(
    new Map(
      tensors.map(({ name, shape }) => [name, tensor('float32', shape, new Float32Array(4).fill(value))]),
    ),
  );

async function released(noise: NoiseOrder, figures: { readonly figures?: true } = { figures: true }) {
  const blobs = memoryBlobs();
  const members = await Promise.all(
    [9, 0.1].map(async (value, i) => ({
      owner: `o${i}`,
      update: await blobs.put(filled(value)),
      aggregationWeight: 1,
    })),
  );
  const params = await blobs.put(filled(1));
  const common = {
    round: 1,
    params,
    serverState: null,
    members,
    membership: 'm',
    participation: 1,
    ...figures,
  };
  const work = { kind: 'aggregate', id: 'aggregate/1', ...common } as const;
  const privacy = { clipNorm: 1, noiseMultiplier: 1, maxParticipations: 9 };
  const job = { work, fixedPoint, serverLearningRate: 1, release: { ...privacy, denominator: 2, noise } };
  return aggregateMembers({ method: bindMethod(fedavg, {}), compression: plain, tensors, blobs }, job);
}

describe('a release', () => {
  it('of a secret key tells nothing that follows from the updates without noise', async () => {
    const { report } = await released({ kind: 'secret', key: new Uint8Array(32).fill(7) });
    expect(report.figures).toBeUndefined();
    expect(report.release!.observed).toBeUndefined();
    expect(report.clamped).toBe(0);
  });

  it('is the same for the same key, another for another key or seed', async () => {
    const of = async (noise: NoiseOrder) => (await released(noise)).params;
    const secret = (byte: number): NoiseOrder => ({ kind: 'secret', key: new Uint8Array(32).fill(byte) });
    expect(await of(secret(7))).toBe(await of(secret(7)));
    expect(await of(simulatedNoise(3, { round: 1 }))).toBe(await of(simulatedNoise(3, { round: 1 })));
    const all = await Promise.all(
      [secret(7), secret(8), simulatedNoise(3, { round: 1 }), simulatedNoise(3, { round: 2 })].map(of),
    );
    expect(new Set(all).size).toBe(4);
  });

  it('of a simulation says what it did', async () => {
    const { report } = await released(simulatedNoise(3, { round: 1 }));
    expect(report.release!.observed).toMatchObject({ clippedByServer: 1 });
    expect(report.figures).toMatchObject({ averagingError: expect.any(Number) });
    const unasked = await released(simulatedNoise(3, { round: 1 }), {});
    expect(unasked.report.figures).toBeUndefined();
  });
});
