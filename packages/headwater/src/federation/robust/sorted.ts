/** Sorting of the few values of a coordinate, in place. */

/** By insertion: a round has tens of values, and as many sorts as there are parameters. */
export function sorted(values: Float64Array): Float64Array {
  if (values.length > 64) return values.sort();
  for (let i = 1; i < values.length; i++) {
    const value = values[i]!;
    let j = i - 1;
    for (; j >= 0 && values[j]! > value; j--) values[j + 1] = values[j]!;
    values[j + 1] = value;
  }
  return values;
}

/** Mean of the `count` values closest to `centre`; of equally close ones the first. */
export function meanAround(values: Float64Array, centre: number, count: number): number {
  const order = Uint32Array.from(values, (_, i) => i);
  for (let i = 1; i < order.length; i++) {
    const item = order[i]!;
    const away = Math.abs(values[item]! - centre);
    let j = i - 1;
    for (; j >= 0 && Math.abs(values[order[j]!]! - centre) > away; j--) order[j + 1] = order[j]!;
    order[j + 1] = item;
  }
  let sum = 0;
  for (let i = 0; i < count; i++) sum += values[order[i]!]!;
  return sum / count;
}
