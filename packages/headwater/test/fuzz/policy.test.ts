/** What an owner reads from others or writes by hand: policies, and manifests with recipes of any form. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toBase64url } from '../../src/base/base64url.ts';
import { ed25519FromSeed, ed25519Verify } from '../../src/base/ed25519-node.ts';
import { HeadwaterError } from '../../src/base/errors.ts';
import { checkedManifest } from '../../src/client/manifest.ts';
import { createPolicy } from '../../src/client/policy.ts';
import { parsePolicy } from '../../src/client/policy-text.ts';
import { fingerprintOf } from '../../src/federation/wire/join-token.ts';
import { type Manifest, PROTOCOL_VERSION } from '../../src/federation/wire/messages.ts';
import { expectUnpolluted, mutatedBytes, PARAMETERS } from './support.ts';
import { yamlCorpus } from './yaml-corpus.ts';

const GOOD = `models: [HuggingFaceTB/SmolLM2-135M]
methods: [fedavg]
tuning: [lora]
minCohort: 3
privacy: []
maxRounds: 50
maxLocalSteps: 100
maxThreads: 2
maxMemory: 4 GB
metrics: [loss]
`;

function policyOf(text: string): ReturnType<typeof createPolicy> | undefined {
  try {
    return createPolicy(parsePolicy(text, 'policy.yaml'));
  } catch (error) {
    if (error instanceof HeadwaterError && error.code === 'POLICY_INVALID') return undefined;
    throw error;
  }
}

const manifest: Manifest = {
  protocol: PROTOCOL_VERSION,
  run: 'demo',
  seed: 1,
  recipe: {
    federation: { rounds: 2, localSteps: 3, method: { kind: 'fedavg' } },
    tuning: { kind: 'lora' },
    threadsPerSession: 1,
  },
  model: { source: 'HuggingFaceTB/SmolLM2-135M', digest: 'ab'.repeat(32), files: [] },
  minCohort: 3,
  metrics: ['loss'],
  privacy: [],
};
const operator = ed25519FromSeed(new Uint8Array(32).fill(9));
const fingerprint = fingerprintOf(operator.publicKey);

/** Signed by the operator himself, whatever it says: a signature is no reason to trust the form. */
async function received(text: string): Promise<Manifest | undefined> {
  const signature = toBase64url(await operator.sign(new TextEncoder().encode(text)));
  const signed = { text, operatorKey: toBase64url(operator.publicKey), signature };
  try {
    return await checkedManifest(signed, fingerprint, ed25519Verify);
  } catch (error) {
    if (error instanceof HeadwaterError && error.code === 'JOIN_REFUSED') return undefined;
    throw error;
  }
}

describe('policies', () => {
  it('the one that is mutated is a good one', () => {
    expect(policyOf(GOOD)?.accepts(manifest)).toEqual([]);
  });

  it.each(yamlCorpus.map(({ id, text }) => [id, text] as const))('%s is a mistake', (_, text) => {
    expect(policyOf(text)).toBeUndefined();
    expectUnpolluted();
  });

  it('mutations are policies or have mistakes; none allows what the good one forbids by crashing', () => {
    fc.assert(
      fc.property(mutatedBytes([new TextEncoder().encode(GOOD)]), (bytes) => {
        policyOf(new TextDecoder().decode(bytes))?.accepts(manifest);
      }),
      PARAMETERS,
    );
    expectUnpolluted();
  });
});

describe('manifests', () => {
  const policy = policyOf(GOOD)!;

  it('the one that is mutated is a good one', async () => {
    expect(await received(JSON.stringify(manifest))).toEqual(manifest);
  });

  it('another protocol version is refused with what to do', async () => {
    const text = JSON.stringify({ ...manifest, protocol: PROTOCOL_VERSION + 1 });
    const signature = toBase64url(await operator.sign(new TextEncoder().encode(text)));
    const signed = { text, operatorKey: toBase64url(operator.publicKey), signature };
    await expect(checkedManifest(signed, fingerprint, ed25519Verify)).rejects.toMatchObject({
      code: 'JOIN_REFUSED',
      hint: expect.stringMatching(/version/),
    });
  });

  it('mutations are refused or judged by the policy', async () => {
    const text = mutatedBytes([Buffer.from(JSON.stringify(manifest))]).map((bytes) =>
      Buffer.from(bytes).toString(),
    );
    await fc.assert(
      fc.asyncProperty(text, async (mutant) => {
        const read = await received(mutant);
        if (read !== undefined) policy.accepts(read);
      }),
      PARAMETERS,
    );
    expectUnpolluted();
  });

  it('a recipe of any form never passes limits that it does not state', () => {
    const recipe = fc.dictionary(
      fc.constantFrom('federation', 'tuning', 'threadsPerSession', 'x'),
      fc.anything({ maxDepth: 3 }),
    );
    fc.assert(
      fc.property(recipe, (given) => {
        expect(policy.accepts({ ...manifest, recipe: given }).length).toBeGreaterThan(0);
      }),
      PARAMETERS,
    );
    expectUnpolluted();
  });
});
