/**
 * The operator of a simulated run, who patiently does by hand what operators do: makes the run and its invitations, pauses,
 * resumes, pardons, stops. Every call may fail; it is made again until it is done.
 */

import { HeadwaterError } from '../src/base/errors.ts';
import type { Coordinator, Operator } from '../src/coordinator/ports.ts';
import type { Blobs } from '../src/storage/blobs.ts';
import type { Store } from '../src/storage/store.ts';
import type { Life } from './life.ts';
import type { OperatorAct } from './scenario.ts';
import type { Trace } from './trace.ts';
import type { VirtualTime } from './virtual-time.ts';
import type { TinyRecipe } from './works.ts';

export interface RunningCoordinator {
  readonly life: Life;
  readonly coordinator: Coordinator;
  readonly store: Store;
  readonly blobs: Blobs;
}

export interface OperatorParts {
  readonly time: VirtualTime;
  readonly trace: Trace;
  readonly run: string;
  /** Those that run now. */
  readonly coordinators: () => readonly RunningCoordinator[];
}

export interface VirtualOperator {
  createRun(recipe: TinyRecipe, name?: string): Promise<void>;
  /** For an owner, valid for the whole simulation. */
  invite(owner: string, name?: string): Promise<string>;
  /** One after the other. */
  act(act: OperatorAct['act']): Promise<void>;
  /** Of all keys of an owner. */
  revoke(owner: string): Promise<void>;
  /** Lifts pauses that nobody ordered (the coordinator could not go on by itself); when nothing fails any more, every one. */
  careFor(nothingFails: boolean): Promise<void>;
}

const RETRY_MS = 700;
const ORDERED_PAUSE = 'the operator wants a pause';

export function createOperator({ time, trace, run, coordinators }: OperatorParts): VirtualOperator {
  /** At the coordinator that leads: of the others one after the other says that it does not. Rejects when one dies. */
  async function once<T>(call: (operator: Operator) => Promise<T>): Promise<T> {
    let refusal: unknown = new Error('no coordinator runs');
    for (const running of coordinators()) {
      try {
        return await at(running, call);
      } catch (error) {
        refusal = error;
      }
    }
    throw refusal;
  }

  function at<T>(
    { life, coordinator }: RunningCoordinator,
    call: (operator: Operator) => Promise<T>,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!life.alive) return reject(new Error('the coordinator died'));
      const stop = life.onDeath(() => reject(new Error('the coordinator died')));
      call(coordinator.operator).then(resolve, reject).finally(stop);
    });
  }

  async function patiently<T>(what: string, call: (operator: Operator) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await once(call);
      } catch (error) {
        trace('operator', `${what}: ${String(error)}`);
        await new Promise<void>((resolve) => time.after(RETRY_MS, resolve));
      }
    }
  }

  async function ifThere(call: Promise<void>): Promise<void> {
    await call.catch((error) => {
      if (!(error instanceof HeadwaterError && error.code === 'RUN_EXISTS')) throw error;
    });
  }

  async function perform(name: OperatorAct['act']): Promise<void> {
    trace('operator', name);
    // Impatient: what is refused or lost is not tried again, but for what must be undone.
    const calls: Record<OperatorAct['act'], () => Promise<void>> = {
      pause: () => once((operator) => operator.pause(run, ORDERED_PAUSE)),
      resume: () => patiently('resume', (operator) => operator.resume(run)),
      pardon: () => once((operator) => pardonAll(operator, run)),
      'drop-uploads': async () => {
        for (const { blobs } of coordinators())
          for (const { key } of await blobs.uploads.list()) await blobs.uploads.drop(key);
      },
      stop: () => once((operator) => operator.stop(run, 'the operator has seen enough')),
    };
    await calls[name]().catch((error) => trace('operator', `${name}: ${String(error)}`));
  }

  let last: Promise<void> = Promise.resolve();
  return {
    createRun: (recipe, name = run) =>
      patiently('create', (operator) => ifThere(operator.createRun(name, { ...recipe }))),
    async invite(owner, name = run) {
      const token = { run: name, owner, uses: 1, ttlMs: 1e9 };
      return (await patiently('invite', (operator) => operator.createToken(token))).text;
    },
    revoke: (owner) =>
      patiently('revoke', async (operator) => {
        for (const client of await operator.clients(run))
          if (client.owner === owner && !client.revoked) await operator.revokeClient(client.clientId);
      }),
    act(name) {
      last = last.then(() => perform(name));
      return last;
    },
    async careFor(nothingFails) {
      try {
        const summary = (await once((operator) => operator.runs())).find((item) => item.run === run);
        if (summary?.status !== 'paused' || (summary.reason === ORDERED_PAUSE && !nothingFails)) return;
        await once((operator) => operator.resume(run));
      } catch (error) {
        trace('operator', `care: ${String(error)}`);
      }
    },
  };
}

async function pardonAll(operator: Operator, run: string): Promise<void> {
  for (const { owner, standing } of await operator.clients(run))
    if (standing === 'quarantined') await operator.pardon(run, owner);
}
