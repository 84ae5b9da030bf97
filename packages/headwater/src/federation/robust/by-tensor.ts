/**
 * A round by a rule that looks at each coordinate by itself, some tensors at a time: in memory lie one update and a bounded part
 * of all others, which are read again for each part. It knows no method.
 */

import { type Params, sizeOf, type Tensor, tensor } from '../../base/tensor.ts';
import type { Member } from '../events.ts';
import { sortedParams } from '../params.ts';
import { aggregateRobustly, type RobustContext } from './aggregate-robustly.ts';
import type { BoundRule } from './rule.ts';

/** Elements of a part of a cohort: 128 MiB. */
const PART_ELEMENTS = 2 ** 25;

interface Sized {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Whether a cohort is larger than that, and the rule may be applied in parts. `tensors`: those that may travel. */
export function goesByTensor(rule: BoundRule, numUpdates: number, tensors: readonly Sized[]): boolean {
  const elements = tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  return rule.columnwise === true && rule.steps.length === 0 && numUpdates * elements > PART_ELEMENTS;
}

/** The same bits as of all at once. */
export async function aggregateByTensor(
  rule: BoundRule,
  members: readonly Member[],
  context: RobustContext,
  load: (update: string, owner: string) => Promise<Params>,
  partElements = PART_ELEMENTS,
): Promise<Params> {
  const first = await load(members[0]!.update, members[0]!.owner);
  const sizes = [...first].map(([name, { shape }]) => ({ name, shape }));
  const aggregate: (readonly [string, Tensor<'float32'>])[] = [];
  for (const names of partsOf(sizes, Math.floor(partElements / members.length))) {
    const updates = [];
    for (const { owner, update, aggregationWeight } of members)
      updates.push({ owner, aggregationWeight, update: onlyOf(await load(update, owner), names) });
    aggregate.push(...aggregateRobustly(rule, updates, context).aggregate);
  }
  return sortedParams(aggregate);
}

/** Names in groups of at most so many elements; a larger tensor is alone. */
function partsOf(tensors: readonly Sized[], mostElements: number): ReadonlySet<string>[] {
  const parts: Set<string>[] = [];
  let room = 0;
  for (const { name, shape } of tensors) {
    room -= sizeOf(shape);
    if (room < 0 || parts.length === 0) {
      parts.push(new Set());
      room = mostElements - sizeOf(shape);
    }
    parts.at(-1)!.add(name);
  }
  return parts;
}

/** Copies: what was read may share one buffer, which would stay. */
function onlyOf(update: Params, names: ReadonlySet<string>): Params {
  const chosen = [...update].filter(([name]) => names.has(name));
  return new Map(chosen.map(([name, { shape, data }]) => [name, tensor('float32', shape, data.slice())]));
}
