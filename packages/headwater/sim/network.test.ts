import { describe, expect, it } from 'vitest';
import { rng } from '../src/base/random.ts';
import type { IncomingRequest } from '../src/coordinator/ports.ts';
import { beginLife } from './life.ts';
import { bodyOf, createNetwork, type Fate, NO_NETWORK_FAULTS } from './network.ts';
import { createTime } from './virtual-time.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (pieces: readonly Uint8Array[]) => Buffer.concat(pieces).toString('utf8');

function setUp(fate: Fate) {
  const time = createTime();
  const network = createNetwork(time, rng(3, 'network'));
  const client = beginLife('client', 1);
  const server = beginLife('server', 1);
  const heard: string[] = [];
  async function* answer() {
    yield bytes('hello ');
    yield bytes('world');
  }
  const handle = async (request: IncomingRequest) => {
    const { pieces, whole } = await bodyOf(request.body);
    heard.push(whole ? text(pieces) : 'broken');
    return { status: 200, headers: {}, body: answer() };
  };
  network.endpoints.set('server', { name: 'server', life: server, handle });
  network.faults = { ...NO_NETWORK_FAULTS, fate: () => fate };
  const ask = async (signal?: AbortSignal) => {
    const asked = network.transport('client', client)(
      { method: 'POST', path: '/', headers: {}, body: bytes('question') },
      signal,
    );
    let outcome: string | undefined;
    asked.then(
      async ({ body }) => {
        const { pieces, whole } = await bodyOf(body);
        outcome = whole ? text(pieces) : 'cut';
      },
      () => {
        outcome = 'no answer';
      },
    );
    await time.run(() => false, 1e9);
    return outcome;
  };
  return { ask, heard, client, server, network, time };
}

describe('virtual network', () => {
  it.each<[Fate, string, string[]]>([
    ['fine', 'hello world', ['question']],
    ['slow', 'hello world', ['question']],
    ['lost', 'no answer', []],
    ['answer-lost', 'no answer', ['question']],
    ['doubled', 'hello world', ['question', 'question']],
    ['cut-request', 'no answer', ['broken']],
    ['cut-answer', 'cut', ['question']],
  ])('%s: the client has "%s"', async (fate, outcome, arrived) => {
    const { ask, heard } = setUp(fate);
    expect(await ask()).toBe(outcome);
    expect(heard).toEqual(arrived);
  });

  it('nobody at the other end is a refused connection', async () => {
    const { ask, network } = setUp('fine');
    network.endpoints.set('server', undefined);
    expect(await ask()).toBe('no answer');
  });

  it('a partition keeps requests from arriving', async () => {
    const { ask, heard, network } = setUp('fine');
    network.faults = { ...network.faults, parted: () => true };
    expect(await ask()).toBe('no answer');
    expect(heard).toEqual([]);
  });

  it('a server that dies answers nothing, a client that dies hears nothing', async () => {
    const dying = setUp('fine');
    dying.time.after(1, () => dying.server.die());
    expect(await dying.ask()).toBe('no answer');
    const deaf = setUp('fine');
    deaf.time.after(1, () => deaf.client.die());
    expect(await deaf.ask()).toBeUndefined();
  });

  it('an abort is an outcome for the client', async () => {
    const { ask, time } = setUp('slow');
    const stop = new AbortController();
    time.after(0.01, () => stop.abort());
    expect(await ask(stop.signal)).toBe('no answer');
  });

  it('a process that stands still answers later', async () => {
    const { ask, server, time } = setUp('fine');
    server.stalledUntilMs = 60_000;
    expect(await ask()).toBe('hello world');
    expect(time.nowMs).toBeGreaterThan(60_000);
  });
});
