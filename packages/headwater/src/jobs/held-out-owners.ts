/**
 * Whose own test an example belongs to. Where the partition follows the owners that the data name, held-out examples
 * belong to the owner they name. Where owners are made up, held-out examples are dealt out in the proportions in which
 * the owners hold each label in training (without labels: hold examples), so that an owner's test looks like its data.
 */

import { type Rng, shuffled } from '../base/random.ts';
import { cut, sizesFrom } from '../data/partition/clients.ts';
import type { Partition } from '../data/partition/partitioner.ts';
import type { Example } from '../data/types.ts';

/** The held-out examples in their order, with `meta.owner` set. */
export function assignHeldOutOwners(
  heldOut: readonly Example[],
  train: readonly Example[],
  partition: Partition,
  random: Rng,
): Example[] {
  if (followsData(train, partition)) return [...heldOut];
  const assigned = new Map<number, string>();
  for (const [label, positions] of byLabel(heldOut)) {
    const owners = [...partition.keys()];
    const sizes = sizesFrom(sharesOf(label, train, partition), positions.length);
    const pieces = cut(shuffled(positions, random.split(label)), sizes);
    for (const [i, piece] of pieces.entries())
      for (const position of piece) assigned.set(position, owners[i]!);
  }
  return heldOut.map((example, position) => ({
    ...example,
    meta: { ...example.meta, owner: assigned.get(position)! },
  }));
}

function followsData(train: readonly Example[], partition: Partition): boolean {
  return [...partition].every(([owner, positions]) => positions.every((p) => train[p]!.meta.owner === owner));
}

/** Each owner's share of the training examples with this label, of all examples when nobody has it. */
function sharesOf(label: string, train: readonly Example[], partition: Partition): number[] {
  const holds = [...partition.values()].map(
    (positions) => positions.filter((p) => (train[p]!.meta.label ?? '') === label).length,
  );
  const counts = holds.some((n) => n > 0)
    ? holds
    : [...partition.values()].map((positions) => positions.length);
  const total = counts.reduce((sum, n) => sum + n, 0);
  return counts.map((n) => n / total);
}

function byLabel(examples: readonly Example[]): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  for (const [position, { meta }] of examples.entries()) {
    const positions = groups.get(meta.label ?? '');
    if (positions === undefined) groups.set(meta.label ?? '', [position]);
    else positions.push(position);
  }
  return new Map([...groups].sort(([a], [b]) => (a < b ? -1 : 1)));
}
