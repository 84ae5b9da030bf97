/** Nothing trained: the base model as it is, for evaluation and generation without an adapter. */

import type { BoundTuning } from './kind.ts';

export const frozen: BoundTuning = {
  kind: 'frozen',
  options: {},
  tensors: [],
  init: async () => new Map(),
  wrap: (_graph, base) => ({ sites: base, trainable: new Map(), dropout: [] }),
  adapterConfig: () => undefined,
};
