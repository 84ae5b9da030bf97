import { expect, it } from 'vitest';
import { begunWorld, createClient, RUN } from '../../test/support/coordinator-world.ts';
import { toBase64url } from '../base/base64url.ts';
import { parseJoinToken } from '../federation/wire/join-token.ts';

const CLEAR = '\u001b[2J\r\nall is well';

it('what clients say of themselves reaches no terminal with control characters in it', async () => {
  const world = await begunWorld();
  await world.ann.call('POST', `/v1/runs/${RUN}/failures`, { body: { round: 1, reason: `no ${CLEAR}` } });
  const guest = createClient(world, 'cid');
  const { secret } = parseJoinToken(await world.token('cid'));
  const body = { token: secret, publicKey: toBase64url(guest.signer.publicKey), software: `x ${CLEAR}` };
  expect((await guest.call('POST', '/v1/join', { body })).status).toBe(200);
  const events = (await world.coordinator.operator.events(RUN, 0)).map(({ event }) => event);
  expect(events).toContainEqual(
    expect.objectContaining({ type: 'client-failed', owner: 'ann', reason: 'no  [2J all is well' }),
  );
  const clients = await world.coordinator.operator.clients(RUN);
  expect(clients.map(({ software }) => software)).toContain('x  [2J all is well');
});
