/** What the pieces of a coordinator share. It decides nothing. */

import type { Signer } from '../federation/wire/signing.ts';
import type { Garbage } from './garbage.ts';
import type { CoordinatorLimits, CoordinatorParts, Machine } from './ports.ts';

export interface Context {
  readonly parts: CoordinatorParts;
  readonly limits: CoordinatorLimits;
  readonly machine: Machine;
  readonly garbage: Garbage;
  readonly operatorKey: Signer;
}
