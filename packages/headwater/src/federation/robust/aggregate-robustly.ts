/**
 * A round by a robust rule: distances are measured, the steps before the rule and the rule itself decide over points, and what
 * they decided is carried out on the tensors. Deterministic: owners come in the order of their names. It knows no method.
 */

import { assert } from '../../base/errors.ts';
import { rng, shuffled } from '../../base/random.ts';
import { type Params, type Tensor, tensor } from '../../base/tensor.ts';
import type { CombineContext, WeightedUpdate } from '../method.ts';
import { l2Norm, scaled } from '../params.ts';
import { basePoint, type Combination, type Geometry } from './geometry.ts';
import { measured, measuresProducts } from './measure.ts';
import type { BoundRule, Verdict } from './rule.ts';
import { flatSum, flatSums } from './rule-state.ts';

export interface RobustRound {
  readonly aggregate: Params;
  /** What the rule keeps for the next round; undefined: nothing. */
  readonly state: Params | undefined;
  /** What each owner’s update counted, 1 being its part in the mean; for rules and steps that tell owners apart. */
  readonly voices: Readonly<Record<string, number>> | undefined;
}

export interface RobustContext extends Omit<CombineContext, 'state'> {
  /** What the rule kept. */
  readonly state: Params | undefined;
  /** The update that the server learnt itself, for rules that ask for it. */
  readonly reference?: Params | undefined;
}

export function aggregateRobustly(
  rule: BoundRule,
  updates: readonly WeightedUpdate[],
  context: RobustContext,
): RobustRound {
  const total = updates.reduce((sum, { aggregationWeight }) => sum + aggregationWeight, 0);
  const shares = updates.map(({ aggregationWeight }) => aggregationWeight / total);
  const frame = framed(rule, updates, context);
  const byzantine = byzantineIn(rule, updates.length);
  const points = stepped({ ...rule, byzantine }, frame, context.round);
  const verdict = rule.combine({
    ...frame.cohort,
    geometry: frame.geometry,
    points,
    shares: points.length === shares.length ? shares : points.map(() => 1 / points.length),
    byzantine,
  });
  const aggregate = carriedOut(verdict, frame.base);
  return {
    aggregate,
    state: rule.keeps === 'aggregate' ? aggregate : frame.sums,
    voices: voicesIn(verdict, updates, shares, frame.factors),
  };
}

interface Frame {
  readonly geometry: Geometry;
  /** The tensors of the base points; undefined: zero. */
  readonly base: readonly (Params | undefined)[];
  readonly points: readonly Combination[];
  readonly factors: readonly number[];
  readonly sums: Params | undefined;
  readonly cohort: Pick<Parameters<BoundRule['combine']>[0], 'previous' | 'sums' | 'reference'>;
}

function framed(rule: BoundRule, updates: readonly WeightedUpdate[], context: RobustContext): Frame {
  const { params, state, reference } = context;
  // Rules that look at no distances get none: measuring takes time.
  const blind = rule.columnwise === true && rule.steps.length === 0;
  const sentUpdates = updates.map(({ update }) => update);
  const factors = blind
    ? updates.map(() => 1)
    : bearable(sentUpdates, measuresProducts(rule, sentUpdates[0]!) ? LONG_FACTORS : ABSURD);
  const sent = updates.map(({ update }, i) => (factors[i] === 1 ? update : scaled(update, factors[i]!)));
  const previous = rule.keeps === 'aggregate' ? state : undefined;
  const sums = rule.keeps === 'sums' ? flatSums(updates, state) : undefined;
  const own = sums === undefined ? [] : updates.map((update) => flatSum(sums, update));
  const others = [previous, reference, ...own].filter((other) => other !== undefined);
  const space = sums === undefined ? rule.space : 'elements';
  const geometry = blind ? unmeasured(sent.length) : measured({ updates: sent, others, params, space });
  const zero = basePoint(geometry, geometry.zero);
  const at = (other: Params | undefined) =>
    other === undefined ? undefined : basePoint(geometry, sent.length + 1 + others.indexOf(other));
  return {
    geometry,
    base: [...sent, undefined, ...others],
    points: sent.map((_, i) => basePoint(geometry, i)),
    factors,
    sums,
    cohort: { previous: at(previous) ?? zero, reference: at(reference), sums: own.map((sum) => at(sum)!) },
  };
}

function unmeasured(count: number): Geometry {
  const size = count + 1;
  return { size, zero: count, squares: new Float64Array(size * size) };
}

/**
 * Where distances are those of products, factors are what is averaged: one that stands for an ordinary product may be very long
 * itself. So many times the median length is the most that it may weigh.
 */
const LONG_FACTORS = 5;

/** So many times the median length is no update of anybody honest; beyond it distances lose the digits of all others. */
const ABSURD = 1e4;

/** What each update is multiplied by before anything is measured: 1 but for absurd ones. */
function bearable(updates: readonly Params[], times: number): number[] {
  const norms = updates.map(l2Norm);
  const limit = times * norms.toSorted((a, b) => a - b)[norms.length >> 1]!;
  return norms.map((norm) => (limit > 0 && norm > limit ? limit / norm : 1));
}

/**
 * f that the rule counts on in a round: what it was told, fewer where updates were put aside before it, so that it has the
 * points that it needs. Who was put aside is one of the f.
 */
function byzantineIn(rule: BoundRule, count: number): number {
  const bears = (f: number) => {
    const mixes = rule.steps.some(({ needsByzantine }) => needsByzantine);
    const points = rule.steps.reduce((now, step) => step.count(now), count);
    return points >= (rule.fewest?.(f) ?? 1) && (!mixes || count >= 2 * f + 1);
  };
  let f = rule.byzantine;
  while (f > 0 && !bears(f)) f--;
  return f;
}

function stepped(rule: BoundRule, { geometry, points }: Frame, round: number): readonly Combination[] {
  return rule.steps.reduce((now, step, i) => {
    const drawn = shuffled(
      now.map((_, index) => index),
      rng(rule.seed, 'robust', round, i),
    );
    return step.apply({ geometry, points: now, byzantine: rule.byzantine, drawn });
  }, points);
}

function carriedOut(verdict: Verdict, base: readonly (Params | undefined)[]): Params {
  const names = [...base[0]!.keys()];
  const entries = names.map((name): [string, Tensor<'float32'>] => {
    const { shape } = base[0]!.get(name)!;
    const values = base.map((params) => params?.get(name)?.data);
    const data =
      verdict.kind === 'point'
        ? combined(verdict.point, values)
        : byColumn(verdict.points, values, verdict.column);
    return [name, tensor('float32', shape, Float32Array.from(data))];
  });
  return new Map(entries);
}

type Values = readonly (Float32Array | undefined)[];

/** Σ c_i x_i; undefined is zero. */
function combined(point: Combination, values: Values): Float64Array {
  const sum = new Float64Array(values[0]!.length);
  for (const [i, part] of point.entries()) {
    const data = values[i];
    if (part === 0 || data === undefined) continue;
    for (let x = 0; x < sum.length; x++) sum[x]! += part * data[x]!;
  }
  return sum;
}

function byColumn(
  points: readonly Combination[],
  values: Values,
  column: (values: Float64Array) => number,
): Float64Array {
  const rows = points.map((point) => soleOf(point, values) ?? combined(point, values));
  const out = new Float64Array(values[0]!.length);
  const gathered = new Float64Array(rows.length);
  for (let x = 0; x < out.length; x++) {
    for (let i = 0; i < rows.length; i++) gathered[i] = rows[i]![x]!;
    out[x] = column(gathered);
  }
  return out;
}

/** Where a point is a base point, its values as they are. */
function soleOf(point: Combination, values: Values): Float32Array | undefined {
  const i = point.indexOf(1);
  return i >= 0 && point.every((part, j) => part === 0 || j === i) ? values[i] : undefined;
}

function voicesIn(
  verdict: Verdict,
  updates: readonly WeightedUpdate[],
  shares: readonly number[],
  factors: readonly number[],
): RobustRound['voices'] {
  const points: readonly Combination[] = verdict.kind === 'point' ? [verdict.point] : verdict.points;
  assert(points.length > 0, 'a rule looks at some points');
  const voices = updates.map((_, i) => {
    const part = points.reduce((sum, point) => sum + point[i]!, 0) / points.length;
    return (factors[i]! * part) / shares[i]!;
  });
  if (voices.every((voice) => Math.abs(voice - 1) < 1e-12)) return undefined;
  return Object.fromEntries(updates.map(({ owner }, i) => [owner, voices[i]!]));
}
