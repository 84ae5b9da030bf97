import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterDigest, fileIn, type SmallRun, smallRun } from '../../../test/support/small-run.ts';
import { auditLog } from '../../federation/log/audit.ts';
import { entryText } from '../../federation/log/entry.ts';
import { replay } from '../../federation/machine.ts';
import { addScaled, differenceOf, l2Norm } from '../../federation/params.ts';
import { writeReport } from '../../report/write.ts';
import { readEvents } from '../../runs/run-folder.ts';
import { contributions } from '../contribution/contribute.ts';
import { run } from '../run.ts';
import { logReceipt, receiptDigest } from './log-receipt.ts';
import { type Bench, openBench } from './measure.ts';
import { type Receipt, receiptBytes } from './receipt.ts';
import { judged, restraintOf } from './restraint.ts';
import { forkedEvents } from './retrain.ts';
import { openStoredRun, type StoredRun } from './stored-run.ts';
import { type UnlearningMethod, unlearn } from './unlearn.ts';

const SETTINGS = [
  'workers=1',
  'federation.weighting=uniform',
  'baselines.localOnly=false',
  'baselines.centralised=false',
];

let small: SmallRun;
let folder: string;
let stored: StoredRun;
let bench: Bench;
beforeAll(async () => {
  small = smallRun({ evaluation: { tasks: [{ kind: 'exact-match' }], batchSize: 4, everyRounds: 2 } });
  const echo = { kind: 'free-rider', owners: ['ben'], sends: 'echo', from: 2 };
  ({ folder } = await run(small.recipe, {
    out: small.out('whole'),
    overrides: [
      ...SETTINGS,
      'federation.keepUpdates=true',
      'federation.freeRiders={}',
      'federation.rounds=3',
      `simulation.attack=${JSON.stringify(echo)}`,
    ],
  }));
  stored = await openStoredRun(folder);
  bench = openBench(stored, 'cid');
});
afterAll(async () => {
  await bench?.close();
  small.remove();
});

const how = (method: UnlearningMethod) => ({
  ...{ owner: 'cid', method, out: small.out(`without-cid-${method}`) },
  ...{ every: 2, share: 0.5, steps: 2, rate: 0.1, beta: 0.1, tolerance: 0.5, repair: 1, factor: 0.5 },
});

describe('an owner is taken out of a finished run', { timeout: 60_000 }, () => {
  it('exactly: the bits of a run on data that never had it', async () => {
    const plain = await run(small.recipe, {
      out: small.out('plain'),
      overrides: [...SETTINGS, 'federation.keepUpdates=true'],
    });
    const train = join(small.root, 'data', 'train.csv');
    const rows = readFileSync(train, 'utf8');
    const from = await openStoredRun(plain.folder);
    const without = await unlearn(from, bench, how('retrain'));
    expect(without).toMatchObject({ exact: true });
    writeFileSync(
      train,
      rows
        .split('\n')
        .filter((row) => !row.startsWith('cid,'))
        .join('\n'),
    );
    const never = await run(small.recipe, { out: small.out('never'), overrides: SETTINGS });
    writeFileSync(train, rows);
    expect(adapterDigest(how('retrain').out)).toBe(adapterDigest(never.folder));
    expect(adapterDigest(how('retrain').out)).not.toBe(adapterDigest(plain.folder));
  });

  it('also from the stack of one round, without training anything', async () => {
    const flora = ['federation.method.kind=flora', 'federation.rounds=1', 'federation.keepUpdates=true'];
    const { folder: stack } = await run(small.recipe, {
      out: small.out('stack'),
      overrides: [...SETTINGS, ...flora],
    });
    const from = await openStoredRun(stack);
    const out = (name: string) => ({ out: small.out(`stack-${name}`) });
    const removed = await unlearn(from, bench, { ...how('flora-removal'), ...out('removed') });
    const retrained = await unlearn(from, bench, { ...how('retrain'), ...out('retrained') });
    expect(removed).toMatchObject({ exact: true, params: retrained.params });
    expect(removed.params).not.toBe(from.state.params);
  });

  it('from the checkpoint before its first round, and not at all where it was never counted', async () => {
    const events = await readEvents(folder);
    const state = replay(forkedEvents(events, 'cid', 3));
    expect(state.closed.map(({ params }) => params)).toEqual(
      stored.state.closed.slice(0, 2).map(({ params }) => params),
    );
    expect(state.open).toMatchObject({ round: 3, lost: { cid: 'to be forgotten' } });
    expect(state.plan.quorum).toBe(2);
  });

  it('nearly: by replay and by ascent, in folders of their own', async () => {
    const last = await stored.params(3);
    for (const method of ['federaser', 'ascent'] as const) {
      const { model, adapters, exact, params } = await unlearn(stored, bench, how(method));
      expect(exact).toBe(false);
      expect(params).toMatch(/^[0-9a-f]{64}$/);
      expect(adapters).toEqual([{ folder: 'adapter', weight: 1 }]);
      expect(l2Norm(differenceOf(model[0]!.params, last))).toBeGreaterThan(0);
      expect(fileIn(join(how(method).out, 'adapter'), 'README.md')).toContain('Unlearned: cid');
    }
    await expect(unlearn(stored, bench, how('flora-removal'))).rejects.toThrow(
      'exact for one round of flora',
    );
    await expect(unlearn(stored, bench, { ...how('retrain'), owner: 'zoe' })).rejects.toThrow(
      'no owner "zoe"',
    );
  });

  it('never at any price: a step too far is taken back', async () => {
    const restraint = restraintOf(2, { forget: 1, kept: 1 }, 0.1);
    const verdicts = [
      [1.5, 1],
      [1.97, 1.1],
      [2.1, 1],
      [1.5, 1.11],
      [Number.NaN, 1],
    ].map(([forget, kept]) => judged({ forget: forget!, kept: kept! }, restraint));
    expect(verdicts).toEqual(['on', 'enough', 'too-far', 'too-far', 'too-far']);
    expect(judged({ forget: 1.5, kept: null }, restraintOf(2, { forget: 1, kept: null }, 0))).toBe('on');
    const before = await bench.losses([{ params: await stored.params(3), weight: 1 }]);
    const held = { ...how('npo'), out: small.out('held'), steps: 8, rate: 10, repair: 0, tolerance: 0.01 };
    const { model, statement } = await unlearn(stored, bench, held);
    expect((await bench.losses(model)).kept!).toBeLessThanOrEqual(1.01 * before.kept!);
    expect(statement).toContain('1 % of validation loss');
  });

  it('gradients of examples have the weights that they are given', async () => {
    const params = await stored.params(3);
    const [first, second] = bench.examples.slice(0, 2);
    const both = await bench.gradients(params, [first!, second!], [2, 0]);
    const one = await bench.gradients(params, [first!], [1]);
    expect(l2Norm(one)).toBeGreaterThan(0);
    expect(l2Norm(differenceOf(both, addScaled(one, one, 1)))).toBeLessThan(1e-4 * l2Norm(one));
  });

  it('is measured on what it had, on what others have, and by who can tell its examples apart', async () => {
    const { forget, heldOut, membership, retained } = await bench.measure([
      { params: await stored.params(3), weight: 1 },
    ]);
    expect(forget.numExamples).toBe(8);
    expect(heldOut!.numExamples + retained!.numExamples).toBe(9);
    expect(membership).toBeGreaterThanOrEqual(0);
    expect(membership).toBeLessThanOrEqual(1);
  });
});

it('a receipt is an entry of the run’s log, once, and the run stays what it was', async () => {
  const before = await readEvents(folder);
  const receipt = { type: 'unlearned', owner: 'cid', method: 'npo', exact: false } as Receipt;
  const signed = { receipt, operatorKey: null, signature: null };
  const entry = await logReceipt(folder, signed, stored.clock);
  expect(entry).toBe(before.length + 1);
  expect(await logReceipt(folder, signed, stored.clock)).toBe(entry);
  const events = await readEvents(folder);
  expect(replay(events)).toEqual(replay(before));
  const texts = events.map((event, i) => entryText(i + 1, event, undefined, ''));
  expect(texts.at(-1)).toContain(receiptDigest(receipt));
  const claim = (of: Receipt) => ({ from: 'it', digest: receiptDigest(of), bytes: receiptBytes(of) });
  const receipts = [receipt, { ...receipt, exact: true }].map((of) => ({ ...claim(of), signed: undefined }));
  const log = { run: folder, texts, signed: undefined, seen: [], receipts };
  const { findings } = await auditLog(log, async () => false);
  const holds = findings.filter(({ what }) => what.endsWith('an entry of the log')).map((one) => one.holds);
  expect(holds).toEqual([true, false]);
});

describe('who added what', { timeout: 60_000 }, () => {
  const lossAfter = async (round: number) => {
    const pieces = stored.prepared.heldOut.validation!.pieces;
    return bench.engine.loss(await stored.params(round), pieces, { batchSize: 4, maxLength: 32 });
  };

  it('shares of a round add up to what the round did, and stand in the report', async () => {
    const asked = { rounds: 2, permutations: 5, sample: 9, coalitions: 16 };
    const scored: number[] = [];
    const look = () => contributions(stored, { ...asked, onScored: (told) => scored.push(told.scored) });
    const found = await look();
    expect(found).toMatchObject({ rounds: [1, 3], roundsOfRun: 3, numExamples: 9, coalitions: 16 });
    const whole = found.owners.reduce((sum, { shapley }) => sum + shapley.value, 0);
    expect(scored.at(-1)).toBe(16);
    // What was scored is kept.
    expect(await look()).toEqual(found);
    expect(scored.at(-1)).toBe(0);
    await expect(contributions(stored, { ...asked, coalitions: 11 })).rejects.toThrow('which takes 12');
    const changes = [1, 3].map(async (round) => (await lossAfter(round - 1)) - (await lossAfter(round)));
    expect(whole).toBeCloseTo((await changes[0]!) + (await changes[1]!), 4);
    expect(found.owners.map(({ owner }) => owner)).toEqual(['ann', 'ben', 'cid']);
    for (const { shapley, similarity } of found.owners) {
      expect(shapley.ofPermutations).toBe(0);
      expect(shapley.halfWidth).toBeGreaterThan(0);
      expect(similarity).toBeGreaterThan(-1);
    }
    writeFileSync(join(folder, 'contribution.json'), JSON.stringify(found));
    await writeReport(folder);
    expect(fileIn(folder, 'report.html')).toContain('Contribution of owners');
  });

  it('an echo is named in every round in which it is one', async () => {
    const { freeRiders } = JSON.parse(fileIn(folder, 'results.json'));
    expect(freeRiders.rounds.map(({ suspects }: { suspects: string[] }) => suspects)).toEqual([
      [],
      ['ben'],
      ['ben'],
    ]);
    expect(freeRiders.detection.watch).toMatchObject({ precision: 1, recall: 1, falseAlarms: 0 });
    expect(fileIn(folder, 'report.html')).toContain('Free-riders');
  });
});
