/** The elements of largest magnitude, found in three passes without sorting. It knows no tensors and no files. */

export interface LargestElements {
  /** Rising. */
  readonly indices: Int32Array;
  readonly values: Float32Array;
}

/** Of equal magnitudes the first ones. NaN counts as largest, so that it is sent and refused rather than hidden. */
export function largestElements(values: Float32Array, count: number): LargestElements {
  const indices = new Int32Array(count);
  const main = new Float32Array(count);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const { threshold, above } = thresholdOf(bits, count);
  let ties = count - above;
  let at = 0;
  for (let i = 0; i < bits.length && at < count; i++) {
    const magnitude = bits[i]! & 0x7fffffff;
    if (magnitude < threshold || (magnitude === threshold && ties-- <= 0)) continue;
    indices[at] = i;
    main[at] = values[i]!;
    at += 1;
  }
  return { indices, values: main };
}

/**
 * The count-th largest magnitude, and how many are larger. Bit patterns of non-negative floats are ordered like the floats:
 * two counting passes, over the upper and the lower half, find it without sorting.
 */
function thresholdOf(
  bits: Uint32Array,
  count: number,
): { readonly threshold: number; readonly above: number } {
  const upper = new Uint32Array(0x8000);
  for (let i = 0; i < bits.length; i++) upper[(bits[i]! & 0x7fffffff) >>> 16]! += 1;
  const high = rankIn(upper, count);
  const lower = new Uint32Array(0x10000);
  for (let i = 0; i < bits.length; i++)
    if ((bits[i]! & 0x7fffffff) >>> 16 === high.bin) lower[bits[i]! & 0xffff]! += 1;
  const low = rankIn(lower, count - high.above);
  return { threshold: high.bin * 0x10000 + low.bin, above: high.above + low.above };
}

/** The bin, counted from the top, that holds the count-th entry, and how many entries lie above it. */
function rankIn(bins: Uint32Array, count: number): { readonly bin: number; readonly above: number } {
  let above = 0;
  let bin = bins.length - 1;
  while (bin > 0 && above + bins[bin]! < count) {
    above += bins[bin]!;
    bin -= 1;
  }
  return { bin, above };
}
