import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rejection } from '../../test/support/outcome.ts';
import { type SmallRun, smallRun } from '../../test/support/small-run.ts';
import { type JoinEvent, joinRun } from '../client/join-node.ts';
import { resolveRecipe } from '../jobs/resolve-recipe.ts';
import { type RunResults, resultsOf } from '../runs/results.ts';
import { run } from '../simulation/run.ts';
import { type Server, startServer } from './serve.ts';

const OWNERS = ['ann', 'ben'];
const SGD = { optimizer: { kind: 'sgd', learningRate: 0.01 }, batchSize: 2 };

interface Case {
  readonly method: { readonly kind: string; readonly [option: string]: unknown };
  readonly rounds?: number;
  readonly cohortSize?: number;
  readonly more?: Record<string, unknown>;
}

/** One of each kind of wire. */
const CASES: Readonly<Record<string, Case>> = {
  'half is frozen': { method: { kind: 'ffa-lora' } },
  'a part is personal': { method: { kind: 'fedsa-lora' }, rounds: 3, cohortSize: 1 },
  'the base is corrected': { method: { kind: 'flora' } },
  'ranks differ by owner': { method: { kind: 'flexlora', ranks: { owners: { ann: 1 } } } },
  'only scalars travel': {
    method: { kind: 'fedkseed', seeds: 16 },
    more: { training: SGD, tuning: { kind: 'full' } },
  },
  'owners remember': { method: { kind: 'scaffold' }, rounds: 3, more: { training: SGD } },
  'a window of blocks': { method: { kind: 'chainfed', lambda: 0, window: 1 }, rounds: 3 },
  'the server learns too, late owners begin where it is': {
    method: { kind: 'fedmkt', rows: 3, length: 24, tokens: 6, topK: 4, clientSteps: 1, serverSteps: 2 },
    rounds: 3,
    cohortSize: 1,
    more: {
      data: {
        train: { files: 'data/train.csv' },
        public: { files: 'data/test.csv' },
        schema: { kind: 'prompt-completion', prompt: '{prompt}', completion: '{answer}', chat: false },
        ownerColumn: 'owner',
        maxLength: 32,
      },
    },
  },
  'what is fixed comes late': { method: { kind: 'fed-sb' }, rounds: 3, cohortSize: 1 },
};

let folder: string;
let server: Server;
const runs: SmallRun[] = [];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-methods-'));
  process.env.HEADWATER_HOME = join(folder, 'home');
  const log = { info: () => undefined, warn: () => undefined };
  const address = { host: '127.0.0.1', port: 0, adminHost: '127.0.0.1', adminPort: 0 };
  server = await startServer({
    store: join(folder, 'store'),
    ...address,
    insecure: false,
    corsOrigins: [],
    log,
  });
});
afterAll(async () => {
  delete process.env.HEADWATER_HOME;
  await server.close(0);
  for (const small of runs) small.remove();
  rmSync(folder, { recursive: true, force: true });
});

function prepared({ method, rounds = 2, cohortSize, more = {} }: Case): SmallRun {
  const small = smallRun({
    data: {
      train: { files: 'data/train.csv' },
      schema: { kind: 'prompt-completion', prompt: '{prompt}', completion: '{answer}', chat: false },
      ownerColumn: 'owner',
      maxLength: 32,
    },
    federation: {
      method,
      rounds,
      localSteps: 2,
      freeRiders: {},
      ...(cohortSize === undefined ? {} : { cohortSize }),
    },
    deployment: { owners: OWNERS },
    baselines: { localOnly: false, centralised: false },
    workers: 1,
    ...more,
  });
  runs.push(small);
  const [head, ...rows] = readFileSync(join(small.root, 'data/train.csv'), 'utf8').trim().split('\n');
  const isKept = (row: string) => OWNERS.some((owner) => row.startsWith(`${owner},`));
  writeFileSync(join(small.root, 'data/train.csv'), [head, ...rows.filter(isKept), ''].join('\n'));
  for (const owner of OWNERS) {
    const own = rows.filter((row) => row.startsWith(`${owner},`)).map((row) => row.slice(owner.length + 1));
    writeFileSync(join(small.root, `${owner}.csv`), ['prompt,answer', ...own, ''].join('\n'));
  }
  return small;
}

/** `stops`: the first owner is stopped in each round, once its update was counted, and begins again from its folder. */
async function deployed(name: string, small: SmallRun, stops: boolean): Promise<void> {
  const { recipe } = await resolveRecipe(small.recipe);
  await server.operator.createRun(name, JSON.parse(JSON.stringify(recipe)));
  const joined = OWNERS.map(async (owner) => {
    const { text } = await server.operator.createToken({ run: name, owner, uses: 1, ttlMs: 600_000 });
    const data = { train: { files: join(small.root, `${owner}.csv`) } };
    const state = join(small.root, `state-${owner}`);
    const options = { url: server.url, token: text, data, state };
    if (!stops || owner !== OWNERS[0]) return joinRun(options);
    const stopped = new Set<number>();
    for (;;) {
      const stop = new AbortController();
      const onEvent = (event: JoinEvent) => {
        if (event.type !== 'receipt' || stopped.has(event.round)) return;
        stopped.add(event.round);
        stop.abort();
      };
      const ending = await joinRun({ ...options, onEvent, signal: stop.signal }).catch((error) => error);
      if (ending.code !== 'INTERRUPTED') return ending as Awaited<ReturnType<typeof joinRun>>;
    }
  });
  const outcomes = await Promise.all(joined);
  expect(outcomes.map(({ status }) => status)).toEqual(OWNERS.map(() => 'finished'));
}

describe('a deployment is its simulation, bit for bit and byte for byte', () => {
  it.each(Object.entries(CASES))('%s', async (title, given) => {
    const name = String(given.method.kind);
    const small = prepared(given);
    const simulated = await run(small.recipe, { out: small.out('simulated') });
    await deployed(name, small, title === 'owners remember');
    const events = (await server.operator.events(name, 0)).map(({ event }) => event);
    const told = ({ params, bytes, freeRiders }: RunResults) => ({
      params,
      bytes,
      watched: freeRiders!.owners,
    });
    expect(told(resultsOf(events))).toEqual(told(simulated.results));
    expect(resultsOf(events).freeRiders!.detection).toBeUndefined();
  });
});

it('what cannot work is refused when it is submitted, with the reason', async () => {
  const { recipe } = await resolveRecipe(prepared({ method: { kind: 'fedavg' } }).recipe);
  const wrong = { ...recipe, federation: { ...recipe.federation, method: { kind: 'fedkseed' } } };
  const error = await rejection(server.operator.createRun('wrong', JSON.parse(JSON.stringify(wrong))));
  expect(error).toMatchObject({ code: 'RECIPE_INVALID', message: expect.stringContaining('sgd') });
});
