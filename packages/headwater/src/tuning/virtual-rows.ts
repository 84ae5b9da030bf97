/** Embeddings of virtual tokens: rows with the ids −1 … −P come from a table of the kind, all others from the model. */

import { tensor } from '../base/tensor.ts';
import type { Value } from '../graph/ir.ts';
import { gather, greater, reshape, sub, where } from '../graph/ops/index.ts';
import type { Sites } from '../graph/sites.ts';

/** `table` [P, D]; `module` is where the model embeds its tokens. Row −1 − id of the table belongs to id. */
export function withVirtualRows(base: Sites, table: Value, module: string): Sites {
  const { graph } = table;
  const whole = (value: number) => graph.constant(tensor('int32', [1], Int32Array.of(value)));
  return {
    ...base,
    embedding(ids, asked, ...rest) {
      if (asked !== module) return base.embedding(ids, asked, ...rest);
      const [zero, last] = [whole(0), whole(-1)];
      const isVirtual = greater(zero, ids);
      const words = base.embedding(where(isVirtual, zero, ids), asked, ...rest);
      const rows = gather(table, where(isVirtual, sub(last, ids), zero), 0);
      return where(reshape(isVirtual, [...ids.shape, 1]), rows, words);
    },
  };
}
