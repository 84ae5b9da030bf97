import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rejection } from '../../test/support/outcome.ts';
import {
  OF_THREE_OWNERS,
  type SmallDeployment,
  smallDeployment,
  THREE_OWNERS,
} from '../../test/support/small-deployment.ts';
import { smallRun } from '../../test/support/small-run.ts';
import { type JoinEvent, joinRun } from '../client/join-node.ts';
import { resultsOf } from '../runs/results.ts';
import { run } from '../simulation/run.ts';
import { type HelperServer, serveHelper } from './serve.ts';

let folder: string;
let helper: HelperServer;
let deployment: SmallDeployment;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-helper-'));
  process.env.HEADWATER_HOME = join(folder, 'home');
  helper = await serveHelper(helperOptions());
  const secureAggregation = { mode: 'two-server', helper: { url: helper.url, key: helper.publicKey } };
  deployment = await smallDeployment(THREE_OWNERS, { ...OF_THREE_OWNERS, privacy: { secureAggregation } });
});
afterAll(async () => {
  delete process.env.HEADWATER_HOME;
  await deployment.close();
  await helper.close();
  rmSync(folder, { recursive: true, force: true });
});

const helperOptions = (port = 0) => ({
  store: join(folder, 'helper'),
  ...{ host: '127.0.0.1', port, insecure: false, minUpdates: 3 },
});

async function join1(owner: string, onEvent: (event: JoinEvent) => void = () => undefined) {
  return joinRun({
    url: await deployment.invitation(owner),
    data: { train: { files: [deployment.file(owner)] } },
    policy: { secureAggregation: ['two-server'], helpers: [helper.publicKey], minCohort: 3 },
    state: join(folder, `state-${owner}`),
    onEvent,
  });
}

describe('two servers', () => {
  it('give the adapter of the plain run bit for bit, over a crash of each', async () => {
    let stopped = false;
    const onEvent = async (event: JoinEvent) => {
      if (event.type !== 'receipt' || stopped) return;
      stopped = true;
      // Between the first upload and the unmasking.
      await helper.close();
      await deployment.restart();
      helper = await serveHelper(helperOptions(Number(new URL(helper.url).port)));
    };
    const outcomes = await Promise.all(THREE_OWNERS.map((owner) => join1(owner, onEvent)));
    expect(outcomes.map(({ status }) => status)).toEqual(['finished', 'finished', 'finished']);
    const events = (await deployment.server.operator.events('small', 0)).map(({ event }) => event);
    const results = resultsOf(events);
    const masked = await run(deployment.run.recipe, { out: deployment.run.out('masked') });
    expect(results.params).toBe(masked.results.params);
    const { fractionBits, range } = results.fixedPoint;
    const unmasked = smallRun(OF_THREE_OWNERS);
    const scale = `federation.fixedPoint={ fractionBits: ${fractionBits}, range: ${range} }`;
    const plain = await run(unmasked.recipe, { out: unmasked.out('plain'), overrides: [scale] });
    unmasked.remove();
    expect(masked.results.params).toBe(plain.results.params);
    expect(results.bytes.up / plain.results.bytes.up).toBeLessThan(1.1);
    const updates = events.filter((event) => event.type === 'update-received');
    for (const { check, masked: facts } of updates) {
      expect(check).toEqual({ ok: true, l2Norm: null });
      expect(facts).toMatchObject({ attempt: 1, envelope: { sealed: expect.any(String) } });
    }
  });

  it('are what an owner can insist on', async () => {
    const error = await rejection(
      joinRun({
        url: await deployment.invitation('ann'),
        data: { train: { files: [deployment.file('ann')] } },
        policy: { secureAggregation: ['secagg-plus'], helpers: ['another'] },
        state: join(folder, 'state-refusing'),
      }),
    );
    expect(error).toMatchObject({
      code: 'POLICY_REFUSED',
      message: expect.stringMatching(/two-server[\s\S]*the helper is/),
    });
  });
});
