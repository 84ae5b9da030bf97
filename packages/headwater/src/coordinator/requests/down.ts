/** What an owner is sent for its training, asked of the works of a run that goes on meanwhile. */

import type { TrainWork } from '../../federation/events.ts';
import { taskOf } from '../../federation/tasks.ts';
import type { LedRun } from '../lead/led-run.ts';
import type { Down } from '../ports.ts';

/** Undefined: the params as they are. `gone`: the round closed while they were read. */
export async function downFor(
  led: LedRun,
  { round, owner, params }: TrainWork,
): Promise<Down | undefined | 'gone'> {
  const { plan } = led.state!;
  try {
    return await (await led.works()).down?.(plan, { round, owner, params });
  } catch (cause) {
    const task = led.state === undefined ? undefined : taskOf(led.state, owner);
    if (task?.kind === 'train' && task.params === params) throw cause;
    return 'gone';
  }
}
