/**
 * A process with clients that train nothing: each sends an update of the right size as soon as it is asked. Everything else
 * (keys, signatures, downloads, uploads, receipts) is what every client does.
 */

import { systemClock, systemTimers } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { runClient } from '../client/core.ts';
import { nodeHasher } from '../client/hasher-node.ts';
import { httpTransport } from '../client/http-transport-node.ts';
import { createPolicy, NO_LIMITS } from '../client/policy.ts';
import type { ClientParts, ClientStore, Trainer } from '../client/ports.ts';
import { webcryptoEntropy, webcryptoSigner, webcryptoVerify } from '../client/webcrypto.ts';

export interface ClientsOrder {
  readonly url: string;
  readonly tokens: readonly string[];
}

/** Keeps nothing: these clients are not restarted. */
function forgetfulStore(): ClientStore {
  const kept = new Map<string, Uint8Array>();
  return {
    load: async (key) => kept.get(key),
    save: async (key, value) => void kept.set(key, value),
    remove: async (key) => void kept.delete(key),
  };
}

const stats = { steps: 1, numExamples: 1, numTokens: 1, numTargets: 1, meanLoss: 1, lastLoss: 1 };

/** The update: the header of the params, and small numbers in place of theirs. */
let update: Uint8Array | undefined;

function updateLike(params: Uint8Array): Uint8Array {
  if (update?.byteLength === params.byteLength) return update;
  update = params.slice();
  const view = new DataView(update.buffer, update.byteOffset, update.byteLength);
  const begin = 8 + Number(view.getBigUint64(0, true));
  for (let at = begin; at < update.byteLength; at += 4) view.setFloat32(at, ((at % 251) - 125) * 1e-6, true);
  return update;
}

const trainer: Trainer = {
  counts: { numExamples: 1, numTokens: 1, heldOut: { validation: 0, test: 0 } },
  maxParamsBytes: 2 ** 32,
  train: async (_task, params) => ({ update: updateLike(params), kept: undefined, stats }),
  evaluate: async () => ({ numExamples: 0, numTargets: 0, scores: {} }),
  close: async () => undefined,
};

async function play({ url, tokens }: ClientsOrder): Promise<void> {
  const transport = httpTransport({ url });
  const parts = (): ClientParts => ({
    transport: transport.send,
    store: forgetfulStore(),
    clock: systemClock,
    timers: systemTimers,
    entropy: webcryptoEntropy,
    signer: webcryptoSigner,
    verify: webcryptoVerify,
    hasher: nodeHasher,
    policy: createPolicy(NO_LIMITS),
    openTrainer: async () => trainer,
    onEvent: () => undefined,
  });
  const { signal } = new AbortController();
  await Promise.all(tokens.map((token) => runClient(parts(), { token, software: 'bench', signal })));
  await transport.close();
}

process.once('message', (order) => {
  play(order as ClientsOrder).then(
    () => process.exit(0),
    (cause) => {
      console.error(messageOf(cause));
      process.exit(1);
    },
  );
});
