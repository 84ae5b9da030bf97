import { describe, expect, it } from 'vitest';
import { methodBench } from '../../../test/support/method-bench.ts';
import { TRAIN, toyExamples } from '../../../test/training-setup.ts';
import { type Params, sizeOf } from '../../base/tensor.ts';
import type { TokenizedExample } from '../../data/types.ts';
import { trainClientRound } from '../../jobs/client-round.ts';
import { withSteps } from '../../jobs/learner.ts';
import { trainServer } from '../../jobs/server-round.ts';
import type { LocalTraining } from '../../training/engine.ts';
import { aggregateRound } from '../aggregate.ts';
import { encodedUpdateBytes } from '../compression/encode.ts';
import { plain } from '../compression/none.ts';
import { planFixedPoint } from '../fixed-point.ts';
import { differenceOf, encodeParams, l2Norm, selectParams } from '../params.ts';
import {
  IDS,
  LOSSES,
  PROBABILITIES,
  packRows,
  ROWS,
  TAUGHT_ROWS,
  unpackKnowledge,
  unpackRows,
} from '../public-knowledge.ts';

const OPTIONS = { rows: 3, length: 16, tokens: 4, topK: 5, weight: 1, serverSteps: 3, clientSteps: 2 };
const SIZE = { rows: 3, length: 16, tokens: 4, topK: 5 };

async function bench(options: object = {}) {
  const made = await methodBench('fedmkt', { ...OPTIONS, ...options });
  const rows = toyExamples([10, 12, 8], made.model.definition.shape.vocabSize, 77);
  const params = new Map([...made.params, [ROWS, packRows(rows, SIZE)]]);
  const plan = planFixedPoint([...made.tuning.tensors], { fractionBits: 30, range: 8 });
  const server = async (updates: Readonly<Record<string, Params>>) => {
    const round = 1;
    const members = Object.keys(updates).map((owner) => ({ owner, update: owner, aggregationWeight: 1 }));
    const input = { round, params, serverState: undefined, members, serverLearningRate: 1 };
    const output = await aggregateRound(made.method, plan, input, async (owner) => updates[owner]!);
    const parts = { engine: made.engine, tuning: made.tuning, method: made.method, publicExamples: rows };
    return { step: output, trained: await trainServer(parts, round, { seed: 1, options: TRAIN }, output) };
  };
  return { ...made, rows, params, server };
}

const isAdapter = (name: string) => name.includes('lora_');

describe('a round of FedMKT', () => {
  it('sends what the owner’s model says about public rows, in the bytes that are declared, and keeps the adapter', async () => {
    const { round, params, method, tuning } = await bench();
    const { sent, keeps, update } = await round({ params });
    expect([...sent.keys()].sort()).toEqual([IDS, LOSSES, PROBABILITIES].sort());
    const numbers = [...sent.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    const { rows: R, tokens: T, topK: k } = SIZE;
    expect(4 * numbers).toBe(4 * R * (2 * T * k + 1));
    const wire = method.wire(tuning.tensors, 1, 'ann');
    expect(update.byteLength).toBe(encodedUpdateBytes(plain, wire));
    expect([...keeps.personal.keys()].every(isAdapter)).toBe(true);
    expect(l2Norm(differenceOf(keeps.personal, selectParams(params, isAdapter)))).toBeGreaterThan(0);
  });

  it('never says anything of private rows: with a model that learnt nothing they change no bit', async () => {
    const { round, params, engine, rows, model, method, tuning } = await bench();
    const still = { learningRate: 1e-30 };
    const asked: (readonly TokenizedExample[])[] = [];
    const seen = (_: unknown, examples: readonly TokenizedExample[]) => asked.push(examples);
    const options = { optimizer: { ...TRAIN.optimizer, kind: 'sgd' as const, weightDecay: 0, ...still } };
    const first = await round({ params, options, seen });
    expect(asked).toHaveLength(1);
    const own = await engine.distributions(params, unpackRows(params.get(ROWS)!) as TokenizedExample[], {
      ...{ topK: 5, temperature: 1, batchSize: 4, maxLength: 64 },
    });
    const width = SIZE.tokens * SIZE.topK;
    for (const [i, { ids }] of own.entries())
      expect([...first.sent.get(IDS)!.data.subarray(i * width, i * width + ids.length)]).toEqual([...ids]);
    expect(rows.length).toBe(own.length);
    const other = toyExamples([7, 9], model.definition.shape.vocabSize, 5);
    const second = await trainClientRound(
      { engine, tensors: tuning.tensors, derivation: tuning.derivation, method, compression: plain },
      {
        ...{ seed: 1, round: 1, owner: 'ann', params, kept: undefined, examples: other },
        options: { ...TRAIN, ...options },
      },
    );
    expect(second.update).toEqual(first.update);
  });

  it('gives the server a student of the owners: nearer to what they said, new rows, nothing else changed', async () => {
    const { round, params, server, engine, rows, model } = await bench({ selective: false });
    const [ann, ben] = [await round({ params }), await round({ params, owner: 'ben' })];
    const { step, trained } = await server({ ann: ann.sent, ben: ben.sent });
    expect([...step.params.get(TAUGHT_ROWS)!.data]).toEqual([...params.get(ROWS)!.data]);
    expect(l2Norm(differenceOf(selectParams(step.params, isAdapter), selectParams(params, isAdapter)))).toBe(
      0,
    );
    for (const name of [IDS, PROBABILITIES, LOSSES, TAUGHT_ROWS])
      expect([...trained.params.get(name)!.data]).toEqual([...step.params.get(name)!.data]);
    expect(unpackRows(trained.params.get(ROWS)!).filter((row) => row !== undefined)).toHaveLength(
      rows.length,
    );
    expect(trained.report.figures).toMatchObject({ taughtRows: 3 });
    const known = unpackKnowledge(step.params, SIZE);
    const V = model.definition.shape.vocabSize;
    /** −Σ q log p over all targets. */
    const distanceOf = async (of: Params) => {
      const judged = unpackRows(params.get(ROWS)!) as TokenizedExample[];
      const own = await engine.distributions(of, judged, {
        topK: V,
        temperature: 1,
        batchSize: 4,
        maxLength: 64,
      });
      let sum = 0;
      for (const [i, { ids, probabilities }] of own.entries())
        for (const [at, id] of ids.entries()) {
          const begin = Math.floor(at / V) * SIZE.topK;
          const named = known[i]!.ids.subarray(begin, begin + SIZE.topK).indexOf(id);
          if (named >= 0) sum -= known[i]!.probabilities[begin + named]! * Math.log(probabilities[at]!);
        }
      return sum;
    };
    expect(await distanceOf(trained.params)).toBeLessThan(0.999 * (await distanceOf(params)));
    const again = await server({ ann: ann.sent, ben: ben.sent });
    expect(encodeParams(again.trained.params)).toEqual(encodeParams(trained.params));
  });

  it('of one owner distils into the server what that owner says', async () => {
    const { round, params, server } = await bench({ selective: false });
    const { sent } = await round({ params });
    for (const combine of ['mean', 'min-ce']) {
      const other = await bench({ selective: false, combine });
      const { step } = await other.server({ ann: sent });
      expect([...step.params.get(LOSSES)!.data]).toEqual([...sent.get(LOSSES)!.data]);
      const k = SIZE.topK;
      const [q, p] = [step.params.get(PROBABILITIES)!.data, sent.get(PROBABILITIES)!.data];
      const mass = p.subarray(0, k).reduce((a, b) => a + b, 0);
      for (let j = 0; j < k; j++) expect(q[j]).toBeCloseTo(p[j]! / mass, 5);
    }
    expect((await server({ ann: sent })).trained.report.figures).toMatchObject({ taughtRows: 3 });
  });

  it('takes each row from the owner with the least loss on it', async () => {
    const { round, params, server } = await bench();
    const [ann, ben] = [await round({ params }), await round({ params, owner: 'ben' })];
    const { step } = await server({ ann: ann.sent, ben: ben.sent });
    const losses = [ann, ben].map(({ sent }) => [...sent.get(LOSSES)!.data]);
    expect([...step.params.get(LOSSES)!.data]).toEqual(
      losses[0]!.map((loss, i) => Math.min(loss, losses[1]![i]!)),
    );
  });

  it('is not learnt from where it is worse than what the learner knows', async () => {
    const { round, params, server } = await bench();
    const { sent } = await round({ params });
    const worse = new Map([...sent, [LOSSES, { ...sent.get(LOSSES)!, data: new Float32Array(3).fill(99) }]]);
    const { step, trained } = await server({ ann: worse });
    expect(trained.report.figures).toMatchObject({ taughtRows: 0 });
    const adapter = (of: Params) => encodeParams(selectParams(of, isAdapter));
    expect(adapter(trained.params)).toEqual(adapter(step.params));
  });

  it('begins with what came down; owners of a smaller rank stay there', async () => {
    const { round, params, server } = await bench({ selective: false, ranks: { owners: { ann: 1 } } });
    const trainings: LocalTraining[] = [];
    const first = await round({ params, seen: (_start, _examples, local) => trainings.push(local) });
    expect(trainings).toHaveLength(1);
    const { trained } = await server({ ann: first.sent });
    const second = await round({
      ...{ round: 2, params: trained.params, kept: undefined },
      seen: (_start, _examples, local) => trainings.push(local),
    });
    expect(trainings.map(({ objective }) => objective?.id)).toEqual([undefined, 'distillation', undefined]);
    for (const { keeps } of [first, second])
      for (const [name, { shape, data }] of keeps.personal) {
        const beyond = [...data].filter((_, i) =>
          name.includes('lora_A') ? Math.floor(i / shape[1]!) >= 1 : i % shape[1]! >= 1,
        );
        expect(beyond.every((value) => value === 0)).toBe(true);
      }
  });
});

it('steps of its own are at the learning rate of the round', () => {
  const linear = {
    ...TRAIN,
    schedule: { kind: 'linear' as const, warmupSteps: 0, minFactor: 0 },
    stepOffset: 2,
  };
  const { optimizer, schedule, steps } = withSteps(linear, 7);
  expect(optimizer.learningRate).toBeCloseTo(TRAIN.optimizer.learningRate / 2, 12);
  expect({ kind: schedule.kind, steps }).toEqual({ kind: 'constant', steps: 7 });
  expect(withSteps(linear, undefined)).toBe(linear);
});
