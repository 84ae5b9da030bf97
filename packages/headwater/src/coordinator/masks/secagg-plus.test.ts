import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  OF_THREE_OWNERS,
  type SmallDeployment,
  smallDeployment,
  THREE_OWNERS,
} from '../../../test/support/small-deployment.ts';
import { type JoinEvent, joinRun } from '../../client/join-node.ts';
import { resultsOf } from '../../runs/results.ts';
import { run } from '../../simulation/run.ts';

let folder: string;
let deployment: SmallDeployment;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-secagg-'));
  process.env.HEADWATER_HOME = join(folder, 'home');
  deployment = await smallDeployment(THREE_OWNERS, {
    ...OF_THREE_OWNERS,
    privacy: { secureAggregation: { mode: 'secagg-plus' } },
  });
});
afterAll(async () => {
  delete process.env.HEADWATER_HOME;
  await deployment.close();
  rmSync(folder, { recursive: true, force: true });
});

async function joined(owner: string, onEvent: (event: JoinEvent) => void) {
  return joinRun({
    url: await deployment.invitation(owner),
    data: { train: { files: [deployment.file(owner)] } },
    state: join(folder, `state-${owner}`),
    onEvent,
  });
}

describe('owners who open the masks together', () => {
  it('give the adapter that the same run in one process gives, bit for bit', async () => {
    const steps = new Set<string>();
    const onEvent = (event: JoinEvent) => {
      if (event.type === 'secure-round') steps.add(event.step);
    };
    const outcomes = await Promise.all(THREE_OWNERS.map((owner) => joined(owner, onEvent)));
    expect(outcomes.map(({ status }) => status)).toEqual(['finished', 'finished', 'finished']);
    expect([...steps]).toEqual(['advertise', 'share', 'mask', 'confirm', 'unmask']);
    const events = (await deployment.server.operator.events('small', 0)).map(({ event }) => event);
    const masked = await run(deployment.run.recipe, { out: deployment.run.out('masked') });
    expect(resultsOf(events).params).toBe(masked.results.params);
    expect(events.filter(({ type }) => type === 'attempt-abandoned')).toEqual([]);
    expect(events.filter(({ type }) => type === 'keys-fixed')).toMatchObject([
      { round: 1, attempt: 1, owners: THREE_OWNERS },
      { round: 2, attempt: 1, owners: THREE_OWNERS },
    ]);
  });
});
