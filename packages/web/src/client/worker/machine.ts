/** What this browser computes with, and why; and how much it can store. */

import { HeadwaterError } from '@headwater/base/errors.ts';
import { BACKENDS, type Backend, type BackendChoice, chooseBackend } from '../../engine/backend.ts';
import { browserFacts } from '../../engine/worker/facts.ts';
import type { Machine } from '../messages.ts';

/** Throws DEVICE_UNAVAILABLE when what is wished is not there. */
export async function chosenBackend(wish: Backend | null): Promise<BackendChoice> {
  const choice = chooseBackend(await browserFacts(), wish === null ? {} : { backend: wish });
  if ('backend' in choice) return choice;
  throw new HeadwaterError('DEVICE_UNAVAILABLE', choice.why, {
    hint: 'Choose another way to compute.',
  });
}

export async function describeMachine(wish: Backend | null): Promise<Machine> {
  const facts = await browserFacts();
  const backends = BACKENDS.map((backend) => {
    const choice = chooseBackend(facts, { backend });
    return { backend, missing: 'backend' in choice ? null : choice.why };
  });
  const { backend, threads, why } = await chosenBackend(wish);
  const { quota, usage } = await navigator.storage.estimate();
  const freeBytes = quota === undefined || usage === undefined ? null : Math.max(0, quota - usage);
  return { backends, chosen: { backend, threads, why }, freeBytes };
}
