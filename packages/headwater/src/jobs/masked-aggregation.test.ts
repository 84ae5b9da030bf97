import { describe, expect, it } from 'vitest';
import { filled } from '../../test/support/filled.ts';
import { plain } from '../federation/compression/none.ts';
import type { AggregateWork, Member } from '../federation/events.ts';
import { groupsOf } from '../federation/masking/groups.ts';
import { maskedLayout } from '../federation/masking/masked-vector.ts';
import { planRing } from '../federation/masking/ring.ts';
import { bindMethod } from '../federation/method.ts';
import { fedavg } from '../federation/methods/fedavg.ts';
import { encodeParams } from '../federation/params.ts';
import { median } from '../federation/robust/median.ts';
import { bindRule } from '../federation/robust/rule.ts';
import { withRobustRule } from '../federation/robust/with-rule.ts';
import { addMask, type MaskTerm } from '../privacy/secure-aggregation/mask-stream.ts';
import { bytesOfWords } from '../privacy/secure-aggregation/words.ts';
import { memoryBlobs } from '../storage/memory-blobs.ts';
import { aggregateMembers } from './aggregation.ts';
import { aggregateMasked } from './masked-aggregation.ts';
import { asSent } from './masking.ts';

const TENSORS = [
  { name: 'b', shape: [3, 2] },
  { name: 'a', shape: [5] },
];
const OWNERS = 13;
const method = bindMethod(fedavg, {});
const robust = withRobustRule(
  method,
  bindRule(median, median.options.parse({ byzantine: 0 }), { steps: [], seed: 1 }),
);
const fixedPoint = planRing(TENSORS, { counts: Array(OWNERS).fill(1), cohortSize: OWNERS });

const termOf = (owner: number): MaskTerm => ({
  key: new Uint8Array(32).fill(owner + 1),
  sign: owner % 2 === 0 ? 1 : -1,
});

async function round() {
  const blobs = memoryBlobs();
  const members: Member[] = [];
  const plainMembers: Member[] = [];
  const { fractionBits, range } = fixedPoint.tensors[0]!;
  for (let owner = 0; owner < OWNERS; owner++) {
    const update = encodeParams(filled(TENSORS, (i) => Math.sin(owner * 31 + i) / 2));
    const mask = { attempt: 1, weight: 1, fractionBits, range, terms: [termOf(owner)] };
    const sent = await asSent(update, { ok: true, l2Norm: 1 }, mask);
    const common = { owner: `o${String(owner).padStart(2, '0')}`, aggregationWeight: 1 };
    members.push({ ...common, update: await blobs.put(sent.update) });
    plainMembers.push({ ...common, update: await blobs.put(update) });
  }
  const params = await blobs.put(encodeParams(filled(TENSORS, () => 1)));
  const common = { kind: 'aggregate', id: 'aggregate/1', round: 1, params, serverState: null } as const;
  const work: AggregateWork = { ...common, members, membership: '', participation: 1 };
  const job = { work, fixedPoint, serverLearningRate: 1 };
  return { blobs, job, plainJob: { ...job, work: { ...work, members: plainMembers } } };
}

describe('aggregation of masked updates', () => {
  it('is that of the plain ones, bit for bit', async () => {
    const { blobs, job, plainJob } = await round();
    const parts = { method, compression: plain, tensors: TENSORS, blobs };
    const groups = groupsOf(OWNERS, null, '');
    const masks = [Array.from({ length: OWNERS }, (_, owner) => termOf(owner))];
    const masked = await aggregateMasked(parts, { ...job, unmask: { groups, masks } });
    expect(masked).toEqual(await aggregateMembers(parts, plainJob));
  });

  it('takes the masks of groups away, from keys or from the sums that a helper sent', async () => {
    const { blobs, job } = await round();
    const parts = { method: robust, compression: plain, tensors: TENSORS, blobs };
    const groups = groupsOf(OWNERS, 3, 'drawn');
    expect(groups.map(({ length }) => length)).toEqual([4, 3, 3, 3]);
    const masks = groups.map((places) => places.map(termOf));
    const { words } = maskedLayout(TENSORS);
    const sums = new Uint32Array(words * groups.length);
    for (const [i, terms] of masks.entries())
      for (const { key, sign } of terms) await addMask(sums.subarray(i * words, (i + 1) * words), key, sign);
    const blob = await blobs.put(bytesOfWords(sums));
    const byKeys = await aggregateMasked(parts, { ...job, unmask: { groups, masks } });
    const bySums = await aggregateMasked(parts, { ...job, unmask: { groups, masks: { sums: blob } } });
    expect(bySums).toEqual(byKeys);
    expect(byKeys.report).toMatchObject({ groups: 4, numUpdates: OWNERS, clamped: 0 });
    const wrong = await blobs.put(bytesOfWords(sums.slice(1)));
    await expect(
      aggregateMasked(parts, { ...job, unmask: { groups, masks: { sums: wrong } } }),
    ).rejects.toThrow('words of');
  });
});
