import { afterAll, expect, it } from 'vitest';
import { createClient, type World } from '../../test/support/coordinator-world.ts';
import { type SmallDeployment, smallDeployment, THREE_OWNERS } from '../../test/support/small-deployment.ts';
import { systemClock } from '../base/clock.ts';
import { joinRun } from '../client/join-node.ts';

let deployment: SmallDeployment | undefined;
afterAll(async () => {
  delete process.env.HEADWATER_HOME;
  await deployment?.close();
});

/** As a client that signs what it likes, over HTTP. */
function overHttp(url: string): Pick<World, 'send' | 'time'> {
  return {
    time: { clock: systemClock } as World['time'],
    async send({ method, path, headers = {}, body }) {
      const pieces: Uint8Array[] = [];
      if (body !== undefined) for await (const piece of body) pieces.push(piece);
      const sent = method === 'GET' ? {} : { body: Buffer.concat(pieces) };
      const answer = await fetch(`${url}${path}`, {
        method,
        headers: headers as Record<string, string>,
        ...sent,
      });
      const bytes = new Uint8Array(await answer.arrayBuffer());
      const isJson = answer.headers.get('content-type') === 'application/json';
      const json = isJson ? JSON.parse(Buffer.from(bytes).toString()) : undefined;
      return { status: answer.status, headers: Object.fromEntries(answer.headers), bytes, json };
    },
  };
}

it('an owner that claims more examples than a sum can hold beside the others is told so; they begin without it', async () => {
  const warned: string[] = [];
  const shape = {
    data: {
      train: { files: 'data/train.csv' },
      schema: { kind: 'prompt-completion', prompt: '{prompt}', completion: '{answer}', chat: false },
      ownerColumn: 'owner',
      maxLength: 32,
    },
    federation: { rounds: 2, localSteps: 1, weighting: 'examples', cohortSize: 3 },
    deployment: { minOwners: 3 },
    baselines: { localOnly: false, centralised: false },
    workers: 1,
  };
  const place = await smallDeployment(THREE_OWNERS, shape, (event, fields) =>
    warned.push(`${event} ${JSON.stringify(fields)}`),
  );
  deployment = place;
  process.env.HEADWATER_HOME = place.home;
  const liar = createClient(overHttp(place.server.url), 'dan', 'small');
  await liar.join((await place.invitation('dan')).split('#')[1]!);
  expect((await liar.enrol(1e9)).json).toMatchObject({ standing: 'waiting' });
  const refusals: unknown[] = [];
  const outcomes = await Promise.all(
    THREE_OWNERS.map(async (owner) =>
      joinRun({
        url: await place.invitation(owner),
        data: { train: { files: place.file(owner) } },
        onEvent: (event) => {
          if (event.type !== 'receipt') return;
          refusals.push(
            liar.call('GET', '/v1/runs/small/task?wait=0').then(({ status, json }) => [status, json]),
          );
        },
      }),
    ),
  );
  expect(outcomes.map(({ status }) => status)).toEqual(['finished', 'finished', 'finished']);
  const state = (await place.server.operator.state('small'))!;
  expect(state.closed.map(({ members }) => Object.keys(members))).toEqual([THREE_OWNERS, THREE_OWNERS]);
  expect(state.roster).not.toHaveProperty('dan');
  const [status, told] = (await refusals[0]) as [number, { error: { message: string } }];
  expect(status).toBe(400);
  expect(told.error.message).toContain('this run cannot hold so many examples');
  expect(warned.join()).toMatch(/owners-not-counted .*dan.* claims 1000000000 examples/);
}, 30_000);
