/** How a loss follows from the targets of one batch: what a graph needs to compute it. It knows no network and no examples. */

import type { Tensor } from '../base/tensor.ts';
import type { Graph, Value } from '../graph/ir.ts';
import type { Projection } from '../graph/projection.ts';

export interface BatchLoss {
  /** For labels: losses of equal forms are the same graph. Empty: the weighted sum over targets. */
  readonly form: string;
  /** Values of the inputs that `write` makes. */
  readonly feeds: ReadonlyMap<string, Tensor>;
  /** From the rows that predict the targets and their ids, int32 [M]. */
  write(graph: Graph, projection: Projection, targetIds: Value): WrittenLoss;
  /** Of the outputs that `write` names: sums over the batch of what is worth knowing, by name. */
  figures?(outputs: ReadonlyMap<string, Tensor>): Readonly<Record<string, number>>;
}

export interface WrittenLoss {
  /** A scalar. */
  readonly loss: Value;
  readonly outputs?: ReadonlyMap<string, Value>;
}
