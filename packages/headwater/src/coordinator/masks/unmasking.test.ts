import { expect, it } from 'vitest';
import { startWorld, tinyClient } from '../../../test/support/client-world.ts';
import { verifyHere } from '../../../test/support/verify-here.ts';
import { toBase64url } from '../../base/base64url.ts';
import { webcryptoEntropy } from '../../client/webcrypto.ts';
import { createHelper } from '../../helper/core.ts';
import { openHelperKey } from '../../helper/open-key.ts';
import { memoryStore } from '../../storage/memory.ts';
import type { CoordinatorParts, HelperResponse } from '../ports.ts';

type Ask = NonNullable<CoordinatorParts['askHelper']>;
const OWNERS = ['ann', 'ben', 'cid', 'dan'];

async function* once(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

const refusal = (error: object): HelperResponse => ({ status: 409, body: once(JSON.stringify({ error })) });

/** Four owners of a round and a helper that answers `first` before it does its work. */
async function startMasked(first: HelperResponse) {
  const { records } = memoryStore();
  const key = await openHelperKey(records, webcryptoEntropy);
  const helper = createHelper({ ...key, records, verify: verifyHere, minUpdates: 3, members: undefined });
  let asked = 0;
  const askHelper: Ask = async (_, request) => {
    if (asked++ === 0) return first;
    const answer = await helper.unmask(request);
    if (answer.kind === 'refused') return refusal(answer.body.error);
    return { status: 200, draw: answer.draw, body: answer.sums };
  };
  return startWorld(
    {
      ...{ cohortSize: 4, quorum: 3, minOwners: 4, rounds: 1, evaluated: false },
      secureAggregation: { mode: 'two-server' },
      helper: { url: 'http://helper.invalid', key: toBase64url(key.publicKey) },
    },
    undefined,
    { askHelper },
  );
}

it('a round whose helper cannot open one seed goes on without that owner', async () => {
  const world = await startMasked(refusal({ code: 'bad-members', message: 'dan', owners: ['dan'] }));
  const outcomes = await Promise.all(
    OWNERS.map(async (owner) => tinyClient(world, { owner, token: await world.token(owner) })),
  );
  expect(outcomes).toMatchObject(OWNERS.map(() => ({ status: 'finished' })));
  const { closed } = (await world.coordinator.operator.state('demo'))!;
  expect(Object.keys(closed[0]!.members)).toEqual(['ann', 'ben', 'cid']);
  await world.close();
});

it('a helper that refuses for good pauses the run, which says what to do', async () => {
  const world = await startMasked(
    refusal({ code: 'other-helper', message: 'The round names another helper.' }),
  );
  const stop = new AbortController();
  const clients = OWNERS.map(async (owner) =>
    tinyClient(world, { owner, token: await world.token(owner), signal: stop.signal }).catch(
      ({ code }) => code,
    ),
  );
  await expect.poll(async () => (await world.coordinator.operator.state('demo'))?.paused).toBeTruthy();
  const { reason } = await world.coordinator.operator.summary('demo');
  expect(reason).toMatch(
    /no sum of this round: The round names another helper\. Have it started with the --store/,
  );
  stop.abort();
  expect(await Promise.all(clients)).toEqual(OWNERS.map(() => 'INTERRUPTED'));
  await world.close();
});
