/** What the pieces of a coordinator share. It decides nothing. */

import type { OperatorKey } from './operator-key.ts';
import type { CoordinatorLimits, CoordinatorParts, Machine } from './ports.ts';
import type { Garbage } from './upkeep/garbage.ts';

export interface Context {
  readonly parts: CoordinatorParts;
  readonly limits: CoordinatorLimits;
  readonly machine: Machine;
  readonly garbage: Garbage;
  readonly operatorKey: OperatorKey;
}
