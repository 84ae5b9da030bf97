/** On what the parts of a modelled store stand: a state that is durable, and one way to change it. */

import type { Clock } from '../../base/clock.ts';
import type { Change, StoreState } from './state.ts';

export interface Decision<T> {
  readonly changes: readonly Change[];
  readonly result: T;
}

export interface Core {
  /** What has become durable; never changed but by `change`. */
  readonly state: StoreState;
  readonly clock: Clock;
  /** For messages. */
  readonly where: string;
  /**
   * Decides on the state as all earlier changes left it, makes the changes durable (all or none), applies them, and
   * gives the result. A decision that throws changes nothing.
   */
  change<T>(decide: (state: StoreState) => Decision<T>): Promise<T>;
}
