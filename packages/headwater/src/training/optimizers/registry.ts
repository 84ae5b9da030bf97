/** The optimizers, by the id that recipes use. */

import type { OptimizerOptions } from '../engine.ts';
import { adamw } from './adamw.ts';
import type { Optimizer } from './optimizer.ts';
import { sgd } from './sgd.ts';

export const optimizers: Readonly<Record<OptimizerOptions['kind'], Optimizer>> = { adamw, sgd };
