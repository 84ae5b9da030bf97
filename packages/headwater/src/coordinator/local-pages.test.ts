import { request } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type SmallRun, smallRun } from '../../test/support/small-run.ts';
import { run } from '../simulation/run.ts';
import { type LocalPages, openLocalPages } from './local-pages.ts';

const log = { info: () => undefined, warn: () => undefined };

let small: SmallRun;
const opened: LocalPages[] = [];
beforeAll(async () => {
  small = smallRun({ baselines: { localOnly: false, centralised: false } });
  const options = { overrides: ['workers=1'] };
  await run(small.recipe, { out: small.out('first'), ...options });
  await run(small.recipe, { out: small.out('second'), overrides: ['workers=1', 'federation.rounds=1'] });
}, 60_000);
afterEach(async () => {
  for (const pages of opened.splice(0)) await pages.close();
});
afterAll(() => small.remove());

/** What the tests look at, of answers of every shape. */
interface Answers {
  readonly runs: readonly { readonly run: string; readonly status: string }[];
  readonly rounds: readonly unknown[];
  readonly updates: readonly unknown[];
  readonly owners: readonly { readonly tokensPerSecond: number }[];
  readonly evaluations: readonly { readonly id: string }[];
  readonly files: readonly { readonly path: string }[];
  readonly text: string;
}

async function open() {
  const pages = await openLocalPages({ folder: small.out('first'), log });
  opened.push(pages);
  const { origin, hash } = new URL(pages.url);
  const [, token = ''] = /^#\/runs\/first\?key=(.+)$/.exec(hash) ?? [];
  const get = async (
    path: string,
    headers: Record<string, string> = { authorization: `Bearer ${token}` },
  ) => {
    const answer = await request(origin + path, { headers });
    return { status: answer.statusCode, json: (await answer.body.json().catch(() => undefined)) as Answers };
  };
  return { get, pages };
}

describe('the pages of a local run', () => {
  it('show the run and those beside it, as a coordinator would', async () => {
    const { get } = await open();
    expect((await get('/admin/about')).json).toMatchObject({ kind: 'local', url: null });
    const { runs } = (await get('/admin/runs')).json;
    expect(runs.map(({ run: name, status }) => [name, status]).sort()).toEqual([
      ['first', 'finished'],
      ['second', 'finished'],
    ]);
    const { json } = await get('/admin/runs/first/view');
    expect(json).toMatchObject({
      summary: { run: 'first', rounds: 2, owners: 3, about: { model: 'stories260K', method: 'fedavg' } },
      frame: { mainMetric: 'exactMatch', cohortSize: 3 },
      totals: { status: 'finished', closedRounds: 2, accepted: 6 },
    });
    expect(json.rounds).toHaveLength(2);
    expect(json.updates).toHaveLength(6);
    expect(json.owners.every((owner) => owner.tokensPerSecond > 0)).toBe(true);
    expect(json.evaluations.map(({ id }) => id)).toContain('test/federated');
    expect((await get('/admin/runs/second/recipe')).json.text).toContain('rounds: 1');
    const { files } = (await get('/admin/runs/first/result')).json;
    expect(files.map(({ path }) => path)).toContain('adapter/adapter_model.safetensors');
    expect((await get('/admin/runs/first/journal?limit=2')).json).toMatchObject({ more: true });
  });

  it('are for whoever has the key, change nothing and listen on this machine alone', async () => {
    const { get, pages } = await open();
    expect((await get('/admin/runs', {})).status).toBe(401);
    expect((await get('/admin/runs/nope')).status).toBe(404);
    expect((await get('/admin/runs/first/tokens')).status).toBe(404);
    expect(new URL(pages.url).hostname).toBe('127.0.0.1');
  });
});
