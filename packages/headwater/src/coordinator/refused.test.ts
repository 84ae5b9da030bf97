import { describe, expect, it } from 'vitest';
import { begunWorld, bodyOf, createClient, createWorld, RUN } from '../../test/support/coordinator-world.ts';
import { settled } from '../../test/support/fake-time.ts';
import { toBase64url } from '../base/base64url.ts';
import { digestBytes } from '../base/canonical.ts';
import { formatJoinToken, parseJoinToken } from '../federation/wire/join-token.ts';
import { LIMITS } from '../federation/wire/messages.ts';

const TASK = `/v1/runs/${RUN}/task`;

const codeOf = (answer: { readonly json: { readonly error?: { readonly code: string } } }) =>
  answer.json?.error?.code;

describe('coordinator: joining', () => {
  it('refuses unknown, used, expired and revoked tokens, and gives nothing away', async () => {
    const world = await createWorld();
    const stranger = createClient(world, 'stranger');
    const guess = formatJoinToken(new Uint8Array(32).fill(9), world.coordinator.operator.operatorKey);
    expect(codeOf(await stranger.join(guess))).toBe('token-refused');
    const token = await world.token('ann');
    expect((await createClient(world, 'ann').join(token)).status).toBe(200);
    expect(codeOf(await stranger.join(token))).toBe('token-refused');
    const short = await world.token('ben', 1, 1000);
    await world.time.advance(1000);
    expect(codeOf(await stranger.join(short))).toBe('token-refused');
    const revoked = await world.token('cid');
    for (const { id } of await world.coordinator.operator.tokens(RUN))
      await world.coordinator.operator.revokeToken(id);
    expect(codeOf(await stranger.join(revoked))).toBe('token-refused');
    expect(await world.coordinator.operator.clients(RUN)).toHaveLength(1);
  });

  it('the same token with the same key gives the same answer again, also after a crash', async () => {
    const world = await createWorld();
    const token = await world.token('ann');
    const ann = createClient(world, 'ann');
    const first = await ann.join(token);
    await world.time.advance(1);
    const { serverTimeMs: _, ...again } = (await ann.join(token)).json;
    expect(first.json).toMatchObject(again);
    await world.restart();
    await world.time.advance(1);
    expect((await ann.join(token)).json.clientId).toBe(first.json.clientId);
    expect(await world.coordinator.operator.tokens(RUN)).toMatchObject([{ usesLeft: 0 }]);
  });

  it('a new token for an owner replaces its key', async () => {
    const world = await begunWorld();
    const other = createClient(world, 'ann');
    await other.join(await world.token('ann'));
    expect(codeOf(await world.ann.call('GET', TASK))).toBe('revoked');
    expect((await other.task()).task).toMatchObject({ kind: 'train' });
  });

  it('clients of an unbound token get different names', async () => {
    const world = await createWorld();
    const token = await world.token(null, 3);
    const names = [];
    for (let i = 0; i < 3; i++) names.push((await createClient(world, 'any').join(token)).json.owner);
    expect(names).toEqual(['client-1', 'client-2', 'client-3']);
  });

  it('is limited by address when it fails, never when it succeeds', async () => {
    const world = await createWorld({}, { limits: { failedJoinBurst: 3, failedJoinsPerMinute: 1 } });
    const token = await world.token(null, 10);
    for (let i = 0; i < 5; i++) expect((await createClient(world, 'any').join(token)).status).toBe(200);
    const guess = formatJoinToken(new Uint8Array(32).fill(9), world.coordinator.operator.operatorKey);
    for (let i = 0; i < 3; i++) await createClient(world, 'any').join(guess);
    const limited = await createClient(world, 'any').join(token);
    expect(codeOf(limited)).toBe('rate-limited');
    expect(limited.json.error.retryAfterMs).toBeGreaterThan(0);
    await world.time.advance(limited.json.error.retryAfterMs);
    expect((await createClient(world, 'any').join(token)).status).toBe(200);
  });

  it('the key must be the one that signs; secrets are stored nowhere', async () => {
    const world = await createWorld();
    const token = await world.token('ann');
    const ann = createClient(world, 'ann');
    const eve = createClient(world, 'eve');
    const { secret } = parseJoinToken(token);
    const body = { token: secret, publicKey: toBase64url(ann.signer.publicKey), software: 'x' };
    expect(codeOf(await eve.call('POST', '/v1/join', { body }))).toBe('unauthenticated');
    const stored = JSON.stringify(await world.store.records.list('tokens')) + world.logged.join('\n');
    expect(stored).not.toContain(secret);
  });

  it('looking first uses nothing up', async () => {
    const world = await createWorld();
    const token = await world.token('ann');
    const body = Buffer.from(JSON.stringify({ token: parseJoinToken(token).secret }));
    const peeked = await world.send({ method: 'POST', path: '/v1/peek', body: bodyOf(body) });
    expect(peeked.json).toMatchObject({ run: RUN, owner: 'ann' });
    expect(await world.coordinator.operator.tokens(RUN)).toMatchObject([{ usesLeft: 1 }]);
  });
});

describe('coordinator: requests', () => {
  it('are refused when the signature does not fit, and change nothing', async () => {
    const world = await begunWorld();
    const { ann, ben } = world;
    const attempts = {
      'another path': await ann.call('GET', TASK, { bend: () => ({ path: `${TASK}?wait=1` }) }),
      'another method': await ann.call('GET', TASK, { bend: () => ({ method: 'PUT' }) }),
      'another body': await ann.call('POST', `/v1/runs/${RUN}/leave`, {
        bend: () => ({ body: bodyOf(Buffer.from('{}')) }),
      }),
      'no signature': await ann.call('GET', TASK, {
        bend: ({ headers }) => ({ headers: { ...headers, signature: undefined } }),
      }),
      'another key': await ann.call('GET', TASK, {
        bend: ({ headers }) => ({
          headers: {
            ...headers,
            'signature-input': headers['signature-input']?.replace(
              /keyid="[0-9a-f]+"/,
              `keyid="${'0'.repeat(32)}"`,
            ),
          },
        }),
      }),
      'another run': await ann.call('GET', '/v1/runs/other/task'),
    };
    for (const [what, answer] of Object.entries(attempts))
      expect([what, answer.status >= 401 && answer.status <= 405]).toEqual([what, true]);
    expect((await ben.task()).task).toMatchObject({ kind: 'train' });
    expect(await world.coordinator.operator.state(RUN)).toMatchObject({ open: { round: 1, lost: {} } });
  });

  it('are taken once: the same bytes again are a replay, also after a restart', async () => {
    const world = await begunWorld();
    const once = { nonce: 'AAAAAAAAAAAAAAAAAAAAAA' };
    expect((await world.ann.call('GET', TASK, once)).status).toBe(200);
    expect(codeOf(await world.ann.call('GET', TASK, once))).toBe('replayed');
    const createdMs = world.time.clock.nowMs();
    await world.restart();
    expect(codeOf(await world.ann.call('GET', TASK, { ...once, createdMs }))).toBe('clock-skew');
  });

  it('are refused when their time is off, and told the time', async () => {
    const world = await begunWorld();
    const nowMs = world.time.clock.nowMs();
    for (const createdMs of [nowMs - 61_000, nowMs + 61_000]) {
      const answer = await world.ann.call('GET', TASK, { createdMs });
      expect(answer.json.error).toMatchObject({ code: 'clock-skew', serverTimeMs: nowMs });
    }
    expect((await world.ann.call('GET', TASK, { createdMs: nowMs + 59_000 })).status).toBe(200);
  });

  it('are limited for each client', async () => {
    const world = await createWorld({}, { limits: { requestBurst: 5, requestsPerSecond: 1 } });
    const ann = await world.client('ann');
    for (let i = 0; i < 4; i++) await ann.call('GET', TASK);
    expect(codeOf(await ann.call('GET', TASK))).toBe('rate-limited');
    expect((await world.client('ben')).owner).toBe('ben');
  });

  it('with bad JSON are refused with a reason', async () => {
    const { ann } = await begunWorld();
    const path = `/v1/runs/${RUN}/enrolment`;
    const good = '"numExamples":1,"numTokens":1,"heldOut":{"validation":0,"test":0},"lostState":false';
    const bad = [
      '{',
      `{${good},"numExamples":2}`,
      `{${good},"__proto__":{"polluted":1}}`,
      `{${good},"constructor":1}`,
      `{${good},"more":1}`,
      `{${good.replace('"numExamples":1', '"numExamples":1e999')}}`,
      `{${good.replace('"numExamples":1', '"numExamples":-1')}}`,
      '['.repeat(40) + ']'.repeat(40),
      '"\ud800"',
    ];
    for (const text of bad) {
      const answer = await ann.call('POST', path, { bytes: new Uint8Array(Buffer.from(text)) });
      expect([text.slice(0, 40), answer.status, codeOf(answer)]).toEqual([
        text.slice(0, 40),
        400,
        'request-invalid',
      ]);
    }
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    const huge = await ann.call('POST', path, { bytes: new Uint8Array(LIMITS.jsonBytes + 1) });
    expect([huge.status, codeOf(huge)]).toEqual([413, 'too-large']);
    const encoded = await ann.call('POST', path, { body: {}, headers: { 'content-encoding': 'gzip' } });
    expect(codeOf(encoded)).toBe('encoding-refused');
  });

  it('to paths that no route has are not found, whatever they look like', async () => {
    const { ann } = await begunWorld();
    for (const path of [
      '/v1/runs/../task',
      '/v1/runs/%2e%2e/task',
      '/v1/runs/demo%00/task',
      '/',
      '//',
      '/v1/runs/DEMO/task',
      `/v1/runs/${'a'.repeat(300)}/task`,
    ]) {
      const answer = await ann.call('GET', path);
      expect([path, answer.status >= 400 && answer.status < 405]).toEqual([path, true]);
    }
  });

  it('of a revoked client are refused, and its owner leaves the round', async () => {
    const world = await begunWorld({ quorum: 1 });
    const [client] = (await world.coordinator.operator.clients(RUN)).filter(({ owner }) => owner === 'ann');
    await world.coordinator.operator.revokeClient(client!.clientId);
    expect(codeOf(await world.ann.call('GET', TASK))).toBe('revoked');
    expect((await world.coordinator.operator.state(RUN))?.roster.ann).toMatchObject({ standing: 'left' });
    const { task } = await world.ben.task();
    expect((await world.ben.train(task!)).json.accepted).toBe(true);
  });
});

describe('coordinator: uploads and updates', () => {
  it('takes only what a task asks for, no larger than the plan allows', async () => {
    const { ann } = await begunWorld();
    const { task } = await ann.task();
    const open = (body: object) =>
      ann.call('POST', `/v1/runs/${RUN}/uploads`, {
        body: { digest: digestBytes(new Uint8Array()), bytes: 10, taskId: task!.id, ...body },
      });
    expect(codeOf(await open({ bytes: 10_000_000 }))).toBe('too-large');
    expect(codeOf(await open({ taskId: 'train/1/ben' }))).toBe('upload-refused');
    expect(codeOf(await open({ taskId: 'train/7/ann' }))).toBe('upload-refused');
    expect(codeOf(await open({ taskId: '../../x' }))).toBe('upload-refused');
    expect((await open({})).status).toBe(200);
  });

  it('a chunk with other bytes than announced is not stored', async () => {
    const world = await begunWorld();
    const { task } = await world.ann.task();
    const update = new Uint8Array(100).fill(1);
    const digest = digestBytes(update);
    const body = { digest, bytes: 100, taskId: task!.id };
    await world.ann.call('POST', `/v1/runs/${RUN}/uploads`, { body });
    const put = (index: number, options: object) =>
      world.ann.call('PUT', `/v1/runs/${RUN}/uploads/${digest}/chunks/${index}`, options);
    const other = bodyOf(new Uint8Array(100).fill(2));
    expect(codeOf(await put(0, { bytes: update, bend: () => ({ body: other }) }))).toBe('upload-invalid');
    expect(codeOf(await put(0, { bytes: new Uint8Array(50) }))).toBe('upload-invalid');
    expect(codeOf(await put(1, { bytes: update }))).toBe('upload-invalid');
    expect(
      codeOf(await world.ben.call('PUT', `/v1/runs/${RUN}/uploads/${digest}/chunks/0`, { bytes: update })),
    ).toBe('upload-unknown');
    expect((await world.ann.call('POST', `/v1/runs/${RUN}/uploads`, { body })).json.have).toEqual([]);
    expect(codeOf(await world.ann.submit(task!, digest, 100))).toBe('upload-invalid');
    expect(await world.blobs.has(digest)).toBe(false);
  });

  it('one bad update costs its sender the round, too many the run; the others go on', async () => {
    const world = await begunWorld({ quorum: 1, rounds: 3 });
    const { ann, ben } = world;
    const first = await ann.train((await ann.task()).task!, (update) => update.slice(0, -1));
    expect(first.json).toMatchObject({ accepted: false, code: 'format' });
    expect((await ben.train((await ben.task()).task!)).json.accepted).toBe(true);
    await settled();
    const nan = await ann.train((await ann.task()).task!, (update) => {
      const bent = update.slice();
      bent.set([0, 0, 192, 127], bent.byteLength - 4);
      return bent;
    });
    expect(nan.json).toMatchObject({ accepted: false, code: 'not-finite' });
    await ben.train((await ben.task()).task!);
    await settled();
    expect((await world.coordinator.operator.state(RUN))?.roster.ann).toMatchObject({
      standing: 'quarantined',
      offences: 2,
    });
    expect((await ann.task()).task).toBeNull();
    await world.coordinator.operator.pardon(RUN, 'ann');
    expect((await ann.task()).task).toMatchObject({ round: 3 });
    await settled();
    expect(await world.blobs.list()).toHaveLength(2);
  });

  it('gives the same receipt to the same update again and again, and refuses another one', async () => {
    const world = await begunWorld();
    const { ann } = world;
    const { task } = await ann.task();
    const receipt = (await ann.train(task!)).json;
    expect(receipt.accepted).toBe(true);
    const again = await Promise.all([1, 2, 3].map(() => ann.submit(task!, receipt.update, 100)));
    for (const { json } of again) expect(json).toEqual(receipt);
    const other = await ann.submit(task!, digestBytes(new Uint8Array(3)), 100);
    expect(other.json).toMatchObject({ accepted: false, code: 'other-update' });
    await world.restart();
    expect((await ann.submit(task!, receipt.update, 100)).json).toEqual(receipt);
    const events = await world.coordinator.operator.events(RUN, 0);
    expect(events.filter(({ event }) => event.type === 'update-received')).toHaveLength(1);
  });

  it('an update from other params or another model is refused without reading it', async () => {
    const { ann, ben } = await begunWorld({ quorum: 1 });
    const zeros = '0'.repeat(64);
    const base = await ann.submit((await ann.task()).task!, zeros, 100, { base: zeros });
    expect(base.json).toMatchObject({ accepted: false, code: 'wrong-base' });
    const model = await ben.submit((await ben.task()).task!, zeros, 100, { baseModel: zeros });
    expect(model.json).toMatchObject({ accepted: false, code: 'wrong-base' });
  });

  it('a client reads the params of its task and nothing else', async () => {
    const world = await begunWorld();
    const { ann, ben } = world;
    const { task } = await ann.task();
    const read = (digest: string, headers: Readonly<Record<string, string>> = {}) =>
      ben.call('GET', `/v1/runs/${RUN}/blobs/${digest}`, { headers });
    const whole = await read(task!.params.digest);
    expect([whole.status, whole.headers.etag]).toEqual([200, `"${task!.params.digest}"`]);
    const part = await read(task!.params.digest, { range: 'bytes=8-11' });
    expect([part.status, part.headers['content-range']]).toEqual([
      206,
      `bytes 8-11/${whole.bytes.byteLength}`,
    ]);
    expect(part.bytes).toEqual(whole.bytes.slice(8, 12));
    expect((await read(task!.params.digest, { range: 'bytes=-4' })).bytes).toEqual(whole.bytes.slice(-4));
    expect((await read(task!.params.digest, { range: 'bytes=999999-' })).status).toBe(416);
    expect((await read(task!.params.digest, { 'if-none-match': `"${task!.params.digest}"` })).status).toBe(
      304,
    );
    const receipt = (await ann.train(task!)).json;
    expect(codeOf(await read(receipt.update))).toBe('blob-unknown');
    expect(codeOf(await read('0'.repeat(64)))).toBe('blob-unknown');
  });
});
