/** What every client on Node is made of, whatever it joins: time, randomness, Ed25519, hashing, HTTP. */

import { systemClock, systemTimers } from '../base/clock.ts';
import { compressChunk } from './compress-node.ts';
import { nodeHasher } from './hasher-node.ts';
import type { ClientParts } from './ports.ts';
import { webcryptoEntropy, webcryptoSigner, webcryptoVerify } from './webcrypto.ts';

type Basics = Omit<Required<ClientParts>, 'store' | 'openTrainer' | 'policy' | 'onResult'>;

export function nodeBasics(
  transport: ClientParts['transport'],
  onEvent: ClientParts['onEvent'] = () => undefined,
): Basics {
  return {
    transport,
    clock: systemClock,
    timers: systemTimers,
    entropy: webcryptoEntropy,
    signer: webcryptoSigner,
    verify: webcryptoVerify,
    hasher: nodeHasher,
    compress: compressChunk,
    onEvent,
  };
}
