/** Positions of examples by label, for the partitioners that skew labels. */

import { HeadwaterError } from '../../base/errors.ts';
import type { ExampleMeta } from '../types.ts';

/** Label → positions, labels sorted. Throws DATA_INVALID when an example has no label. */
export function byLabel(examples: readonly ExampleMeta[]): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  examples.forEach(({ label, where }, index) => {
    if (label === undefined) {
      throw new HeadwaterError('DATA_INVALID', 'the example has no label, this partition is by label', {
        where,
        hint: 'Set data.labelColumn.',
      });
    }
    const positions = groups.get(label);
    if (positions === undefined) groups.set(label, [index]);
    else positions.push(index);
  });
  return new Map([...groups].sort(([a], [b]) => (a < b ? -1 : 1)));
}
