/**
 * The secrets behind the noise of a run's rounds. A round has one key, from the CSPRNG, made when its members are frozen and kept
 * until its release is in the journal: whoever does the work again, after a crash too, makes the same release. Then the key is
 * overwritten, and what stays says that it was: nobody can make another release of the same members. Where noise is that of a tree,
 * the key is that of the node that ends with the round, and is kept until a release that takes its noise away is in the journal.
 */

import { fromBase64url, toBase64url } from '../../base/base64url.ts';
import { HeadwaterError } from '../../base/errors.ts';
import { KEY_BYTES } from '../../privacy/keystream-node.ts';
import type { Records } from '../../storage/store.ts';
import { changeRecord, listRecords, readRecord } from '../records.ts';

export interface NoiseKeys {
  /** `membership`: digest of the frozen members, which are in the journal. Throws RUN_CORRUPT once the key was destroyed. */
  of(round: number, membership: string): Promise<Uint8Array>;
  /** Of the coins that draw a round’s cohort. Throws RUN_CORRUPT once it was destroyed. */
  ofDraw(round: number): Promise<Uint8Array>;
  /** Of draws that are in the journal. */
  destroyDraws(upTo: number): Promise<void>;
  /** Of an earlier round, whose node this release takes away. Throws RUN_CORRUPT once it was destroyed. */
  kept(round: number): Promise<Uint8Array>;
  /** Of rounds whose release is in the journal, but those in `needed`. */
  destroyUpTo(round: number, needed?: readonly number[]): Promise<void>;
}

export interface NoiseKeyParts {
  readonly run: string;
  readonly records: Records;
  readonly entropy: (bytes: number) => Uint8Array;
  /** Throws when this process leads the run no more. */
  readonly confirm: () => Promise<void>;
}

/** Before the round, in the names of keys that draw cohorts. */
const DRAW = 'draw-';

/** A record under this name in the place of a round: no further release may be made. */
const RESTORED = 'restored';

export function createNoiseKeys({ run, records, entropy, confirm }: NoiseKeyParts): NoiseKeys {
  async function made(name: string, membership: string): Promise<Uint8Array | undefined> {
    if ((await readRecord(records, 'noise-keys', `${run}/${RESTORED}`)) !== undefined) throw restored(run);
    const fresh = { membership, key: toBase64url(entropy(KEY_BYTES)) };
    // Whoever is first decides; all others find that key.
    await changeRecord(records, 'noise-keys', `${run}/${name}`, (known) =>
      known === undefined ? fresh : undefined,
    );
    const kept = await readRecord(records, 'noise-keys', `${run}/${name}`);
    await confirm();
    const key = kept?.membership === membership ? fromBase64url(kept.key ?? '') : undefined;
    return key?.byteLength === KEY_BYTES ? key : undefined;
  }

  async function destroy(goes: (name: string) => boolean): Promise<void> {
    let destroyed = false;
    for (const { key, value } of await listRecords(records, 'noise-keys', `${run}/`)) {
      if (value.key === null || !goes(key.slice(run.length + 1))) continue;
      await changeRecord(records, 'noise-keys', key, (known) => known && { ...known, key: null });
      destroyed = true;
    }
    if (destroyed) await records.scrub?.();
  }

  return {
    async of(round, membership) {
      const key = await made(String(round), membership);
      if (key === undefined) throw destroyed(run, round);
      return key;
    },
    async ofDraw(round) {
      const key = await made(`${DRAW}${round}`, '');
      if (key === undefined) throw destroyed(run, round);
      return key;
    },
    destroyDraws: (upTo) =>
      destroy((name) => name.startsWith(DRAW) && Number(name.slice(DRAW.length)) <= upTo),
    async kept(round) {
      const known = await readRecord(records, 'noise-keys', `${run}/${round}`);
      const key = fromBase64url(known?.key ?? '');
      if (key?.byteLength !== KEY_BYTES) throw destroyed(run, round);
      return key;
    },
    async destroyUpTo(round, needed = []) {
      await destroy((name) => Number(name) <= round && !needed.includes(Number(name)));
    },
  };
}

/** Destroys all keys, and lets no run of these records make another one. */
export async function forbidReleases(records: Records): Promise<void> {
  for (const { key } of await listRecords(records, 'noise-keys'))
    await changeRecord(records, 'noise-keys', key, (known) => known && { ...known, key: null });
  for (const { key: run, value } of await listRecords(records, 'runs')) {
    if ((value.recipe as { readonly privacy?: unknown } | null)?.privacy === undefined) continue;
    await changeRecord(records, 'noise-keys', `${run}/${RESTORED}`, () => ({ membership: '', key: null }));
  }
  await records.scrub?.();
}

function destroyed(run: string, round: number): HeadwaterError {
  return new HeadwaterError(
    'RUN_CORRUPT',
    `the noise key of round ${round} was destroyed, or made for other members: the round was released before`,
    { where: run, hint: 'A second release of one round would tell more than its privacy budget allows.' },
  );
}

function restored(run: string): HeadwaterError {
  return new HeadwaterError(
    'RUN_CORRUPT',
    'this store was restored from a backup: rounds may have been released since that its privacy ledger does not know',
    { where: run, hint: 'Stop the run to publish what it has, and start a new one from that adapter.' },
  );
}
