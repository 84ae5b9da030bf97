/** The owners that the data name: a column or the file (`data.ownerColumn`, `data.ownerByFile`). */

import { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import type { Partitioner } from './partitioner.ts';

const options = z.strictObject({});

export const natural: Partitioner<z.infer<typeof options>> = {
  id: 'natural',
  summary: 'the owners named by the data',
  options,
  assign(examples) {
    const held = new Map<string, number[]>();
    examples.forEach(({ owner, where }, index) => {
      if (owner === undefined) {
        throw new HeadwaterError('DATA_INVALID', 'the example has no owner', {
          where,
          hint: 'Set data.ownerColumn or data.ownerByFile, or choose another partition (iid, dirichlet …).',
        });
      }
      const positions = held.get(owner);
      if (positions === undefined) held.set(owner, [index]);
      else positions.push(index);
    });
    return new Map([...held].sort(([a], [b]) => (a < b ? -1 : 1)));
  },
};
