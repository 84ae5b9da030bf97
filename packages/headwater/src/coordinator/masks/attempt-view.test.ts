import { expect, it } from 'vitest';
import { toBase64url } from '../../base/base64url.ts';
import { ed25519FromSeed } from '../../base/ed25519-node.ts';
import { webcryptoEntropy } from '../../client/webcrypto.ts';
import type { RunState } from '../../federation/state.ts';
import { advertise } from '../../privacy/secure-aggregation/secagg-plus/client.ts';
import { emptyView, nextFor } from './attempt-view.ts';

const OWNERS = ['ann', 'ben', 'cid', 'dan'];
const identityOf = (i: number) => ed25519FromSeed(new Uint8Array(32).fill(i + 1));

it('survivors who could not open the masks are not asked to sign for them: the attempt is about to be given up', async () => {
  const roster = OWNERS.map((owner, i) => ({ owner, identity: toBase64url(identityOf(i).publicKey) }));
  const about = { run: 'r', round: 1, attempt: 1, length: 1, layout: 'l', minOwners: 2 };
  const attempt = { ...about, assumed: { adversaries: 0.1, dropouts: 0.2 }, roster };
  const view = emptyView(1, 1);
  view.begun = { attempt, signature: '' };
  view.present = OWNERS;
  for (const [i, owner] of OWNERS.entries())
    view.adverts.set(owner, (await advertise(attempt, owner, identityOf(i), webcryptoEntropy)).message);
  const whenLeft = (survivors: readonly string[]) =>
    ({
      open: { phase: 'aggregating', keyed: OWNERS, members: survivors.map((owner) => ({ owner })) },
    }) as unknown as RunState;
  expect(await nextFor(whenLeft(OWNERS.slice(0, 2)), view, 'ann')).toEqual({ told: null, over: false });
  expect((await nextFor(whenLeft(OWNERS.slice(0, 3)), view, 'ann')).told).toMatchObject({ step: 'confirm' });
});
