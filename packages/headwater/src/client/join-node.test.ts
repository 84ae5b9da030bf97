import { cpSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rejection } from '../../test/support/outcome.ts';
import { type SmallDeployment, smallDeployment } from '../../test/support/small-deployment.ts';
import { adapterDigest } from '../../test/support/small-run.ts';
import { run } from '../simulation/run.ts';
import { type JoinEvent, type JoinRunOptions, joinRun } from './join-node.ts';
import { previewRun } from './preview-node.ts';

const OWNERS = ['ann', 'ben', 'cid'];
/** Half of every owner's rows are held out by the owner itself. */
const SHAPE = {
  data: {
    train: { files: 'data/train.csv' },
    schema: { kind: 'prompt-completion', prompt: '{prompt}', completion: '{answer}', chat: false },
    ownerColumn: 'owner',
    labelColumn: 'answer',
    maxLength: 32,
    validationFraction: 0.2,
    testFraction: 0.2,
  },
  federation: { rounds: 2, localSteps: 2, weighting: 'tokens' },
  deployment: { owners: OWNERS },
  baselines: { localOnly: false, centralised: false },
};

let deployment: SmallDeployment;
beforeAll(async () => {
  deployment = await smallDeployment(OWNERS, SHAPE);
  process.env.HEADWATER_HOME = deployment.home;
});
afterAll(async () => {
  delete process.env.HEADWATER_HOME;
  await deployment.close();
});

async function optionsOf(owner: string, more: Partial<JoinRunOptions> = {}): Promise<JoinRunOptions> {
  const url = more.url ?? (await deployment.invitation(owner));
  return { url, data: { train: { files: deployment.file(owner) } }, ...more };
}

describe('looking before joining', () => {
  it('shows the run, the examples with what is learnt, the split and what leaves; the invitation stays good', async () => {
    const options = await optionsOf('ann', { policy: { maxRounds: 1, metrics: ['loss'] } });
    const preview = await previewRun(options);
    expect(preview.owner).toBe('ann');
    expect(preview.reasons).toEqual(['it wants 2 rounds; you allow 1']);
    expect(preview.metrics).toEqual({ told: ['loss'], kept: ['exactMatch'] });
    const [first] = preview.examples;
    expect(first?.parts.map(({ supervised }) => supervised)).toEqual([false, true]);
    expect(first?.parts[0]?.text).toContain('cat number');
    expect(first?.parts[1]?.text).toContain('cat');
    const { train, validation, test } = preview.split;
    expect(train + validation + test).toBe(6);
    expect(preview.tokenization.numTokenized).toBe(train);
    expect((await previewRun(options)).updateBytes).toBe(preview.updateBytes);
    expect(preview.columns).toEqual(['prompt', 'answer']);
  });

  it('fetches no weights for it', () => {
    const files = readdirSync(join(deployment.home, 'models'), { recursive: true }).map(String);
    expect(files.some((file) => file.endsWith('tokenizer.json'))).toBe(true);
    expect(files.some((file) => file.endsWith('.safetensors'))).toBe(false);
  });

  it('a column that is not there is an error that names the way out', async () => {
    const file = join(deployment.run.root, 'german.csv');
    writeFileSync(file, 'frage,antwort,tier\nwas?,das,katze\nwer?,der,hund\n');
    const data = { train: { files: file } };
    const error = await rejection(previewRun(await optionsOf('ann', { data })));
    expect(error).toMatchObject({ code: 'DATA_INVALID', hint: expect.stringContaining('--map') });
    const mapping = new Map([
      ['prompt', '{frage} ({tier})'],
      ['answer', 'antwort'],
    ]);
    const preview = await previewRun(await optionsOf('ann', { data: { ...data, mapping } }));
    const [shown] = preview.examples;
    expect(shown?.parts.map(({ text }) => text).join('')).toMatch(/was\? \(katze\)das|wer\? \(hund\)der/);
  });
});

describe('a deployment of three owners', () => {
  const events: JoinEvent[] = [];
  const boundUrls = new Map<string, string>();

  beforeAll(async () => {
    for (const owner of OWNERS) boundUrls.set(owner, await deployment.invitation(owner));
    const url = (owner: string) => boundUrls.get(owner) as string;
    // Ann is stopped after her first update and comes back; the coordinator is restarted meanwhile.
    const stop = new AbortController();
    const onEvent = (event: JoinEvent) => {
      events.push(event);
      if (event.type === 'receipt') stop.abort();
    };
    const out = join(deployment.run.root, 'result');
    const ann = async () => {
      const options = await optionsOf('ann', { url: url('ann') });
      const error = await rejection(joinRun({ ...options, onEvent, signal: stop.signal }));
      expect(error.code).toBe('INTERRUPTED');
      await deployment.restart();
      return joinRun({ ...options, out, onEvent: (event) => events.push(event) });
    };
    const others = ['ben', 'cid'].map(async (owner) => joinRun(await optionsOf(owner, { url: url(owner) })));
    const outcomes = await Promise.all([ann(), ...others]);
    expect(outcomes.map(({ owner, status }) => [owner, status])).toEqual(OWNERS.map((o) => [o, 'finished']));
  }, 60_000);

  it('ends with the adapter of the simulation, bit for bit, and every owner may have it', async () => {
    const simulated = await run(deployment.run.recipe, { out: deployment.run.out('simulated') });
    // Every held-out row is scored in both: the owners' means, weighted, are the pooled mean.
    const { evaluations } = (await deployment.server.operator.state('small'))!;
    for (const subject of ['base', 'federated'] as const) {
      const pooled = simulated.results[subject].test!.pooled;
      expect(evaluations[`test/${subject}`]!.pooled.loss).toBeCloseTo(pooled.loss!, 5);
      expect(evaluations[`test/${subject}`]!.pooled.exactMatch).toBeCloseTo(pooled.exactMatch!, 9);
    }
    expect(adapterDigest(deployment.results)).toBe(adapterDigest(simulated.folder));
    const own = readFileSync(join(deployment.run.root, 'result', 'adapter_model.safetensors'));
    expect(own.equals(readFileSync(join(simulated.folder, 'adapter', 'adapter_model.safetensors')))).toBe(
      true,
    );
  });

  it('trained each round once, over a stop of the client and a restart of the coordinator', () => {
    const trained = events.flatMap((event) =>
      event.type === 'task' && event.task.kind === 'train' ? [event.task.round] : [],
    );
    expect(trained).toEqual([1, 2]);
  });

  it('scored held-out examples where they lie', async () => {
    const state = await deployment.server.operator.state('small');
    const { numExamples, owners } = state!.evaluations['test/federated']!;
    expect(Object.keys(owners)).toEqual(OWNERS);
    expect(numExamples).toBe(Object.values(owners).reduce((sum, own) => sum + own.numExamples, 0));
    expect(owners.ann?.scores).toHaveProperty('exactMatch');
  });

  it('keeps its key where only its user can read it, and the model whole', () => {
    const [client] = readdirSync(join(deployment.home, 'clients'));
    const folder = join(deployment.home, 'clients', client as string);
    if (process.platform !== 'win32') {
      expect(statSync(folder).mode & 0o777).toBe(0o700);
      expect(statSync(join(folder, 'joined.bin')).mode & 0o777).toBe(0o600);
    }
    const models = readdirSync(join(deployment.home, 'models')).filter((name) => /^[0-9a-f]{64}$/.test(name));
    expect(models).toHaveLength(1);
    expect(
      readdirSync(join(deployment.home, 'models', models[0]!)).some((name) => name.endsWith('.part')),
    ).toBe(false);
  });

  it('once it is over, the same call says so, and one may still look', async () => {
    const outcome = await joinRun(await optionsOf('ann', { url: boundUrls.get('ann') as string }));
    expect(outcome).toMatchObject({ owner: 'ann', status: 'finished' });
    const preview = await previewRun(await optionsOf('ann', { url: boundUrls.get('ann') as string }));
    expect(preview).toMatchObject({ owner: 'ann', reasons: [] });
  });

  it('another copy of the model is refused, by its weights or by its tokenizer', async () => {
    const model = join(deployment.run.root, 'another-model');
    cpSync(new URL('../../test/fixtures/models/stories260K', import.meta.url).pathname, model, {
      recursive: true,
    });
    const tokenizer = join(model, 'tokenizer.json');
    const good = readFileSync(tokenizer, 'utf8');
    writeFileSync(tokenizer, `${good} `);
    const state = join(deployment.run.root, 'other-state');
    const options = await optionsOf('ann', { model, state });
    expect(await rejection(joinRun(options))).toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringContaining('tokenizer.json'),
    });
    writeFileSync(tokenizer, good);
    const config = join(model, 'config.json');
    writeFileSync(
      config,
      readFileSync(config, 'utf8').replace('"rms_norm_eps": 1e-05', '"rms_norm_eps": 1e-06'),
    );
    expect(await rejection(joinRun(options))).toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringContaining('its digest is'),
    });
  });
});
