/**
 * Arithmetic on named float32 tensors and their bytes on the wire. An `update` is a difference of params; everything is
 * computed in float64 and rounded once. It knows no rounds.
 */

import { assert, HeadwaterError } from '../base/errors.ts';
import { type Params, sameShape, type Tensor, tensor, zeros } from '../base/tensor.ts';
import { layoutSafetensors, parseSafetensors, writeSafetensors } from '../models/safetensors.ts';

/** Params as a safetensors file; equal params give equal bytes. */
export function encodeParams(params: Params): Uint8Array {
  return writeSafetensors(params);
}

/** Size of `encodeParams(params)`, without making it. */
export function encodedBytes(params: Params): number {
  return layoutSafetensors(params).fileBytes;
}

/** The reverse of `encodeParams`, for bytes from anywhere. Throws SAFETENSORS_INVALID (also for NaN and Inf). */
export function decodeParams(bytes: Uint8Array, where?: string): Params {
  const { tensors } = parseSafetensors(bytes, { mode: 'upload', ...(where === undefined ? {} : { where }) });
  const entries = [...tensors].map(([name, value]): [string, Tensor<'float32'>] => {
    if (value.dtype !== 'float32')
      throw new HeadwaterError(
        'SAFETENSORS_INVALID',
        `tensor "${name}" is ${value.dtype}, expected float32`,
        {
          ...(where === undefined ? {} : { where }),
        },
      );
    return [name, value as Tensor<'float32'>];
  });
  return sortedParams(entries);
}

export function sortedParams(entries: Iterable<readonly [string, Tensor<'float32'>]>): Params {
  return new Map([...entries].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

/** after − before, elementwise. Both have the same tensors. */
export function differenceOf(after: Params, before: Params): Params {
  return paired(after, before, (out, a, b) => {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! - b[i]!;
  });
}

/** params + scale · update for the tensors of `update`; the others stay as they are. */
export function addScaled(params: Params, update: Params, scale: number): Params {
  const changed = paired(update, params, (out, u, p) => {
    for (let i = 0; i < out.length; i++) out[i] = p[i]! + scale * u[i]!;
  });
  return new Map([...params].map(([name, value]) => [name, changed.get(name) ?? value]));
}

/** factor · params. */
export function scaled(params: Params, factor: number): Params {
  return new Map(
    [...params].map(([name, { shape, data }]) => [
      name,
      tensor(
        'float32',
        shape,
        data.map((x) => factor * x),
      ),
    ]),
  );
}

/** Only the tensors whose name passes. */
export function selectParams(params: Params, keep: (name: string) => boolean): Params {
  return new Map([...params].filter(([name]) => keep(name)));
}

/** `params` with the tensors of `overlay` in place of its own. */
export function overlaid(params: Params, overlay: Params): Params {
  return new Map([...params].map(([name, value]) => [name, overlay.get(name) ?? value]));
}

/** √Σx² over all elements, in float64. */
export function l2Norm(params: Params): number {
  let sum = 0;
  for (const { data } of params.values()) for (let i = 0; i < data.length; i++) sum += data[i]! * data[i]!;
  return Math.sqrt(sum);
}

type Fill = (out: Float32Array, left: Float32Array, right: Float32Array) => void;

/** Whole tensors at a time: a callback for each element would cost more than the arithmetic. */
function paired(left: Params, right: Params, fill: Fill): Params {
  const entries = [...left].map(([name, l]): [string, Tensor<'float32'>] => {
    const r = right.get(name);
    assert(r !== undefined && sameShape(l.shape, r.shape), `tensors "${name}" do not match`);
    const data = new Float32Array(l.data.length);
    fill(data, l.data, r.data);
    return [name, tensor('float32', l.shape, data)];
  });
  return new Map(entries);
}

/** Every tensor under `prefix` + its name. */
export function underPrefix(prefix: string, params: Params): Params {
  return new Map([...params].map(([name, value]) => [prefix + name, value]));
}

/** The tensors whose names begin with `prefix`, without it. */
export function withoutPrefix(prefix: string, params: Params): Params {
  const found = [...params].filter(([name]) => name.startsWith(prefix));
  return new Map(found.map(([name, value]) => [name.slice(prefix.length), value]));
}

/** Zeros in the shapes of `params`. */
export function zerosLike(params: Params): Params {
  return new Map([...params].map(([name, { shape }]) => [name, zeros('float32', shape)]));
}

/** Σ factor · params over sets of the same tensors, in float64 and rounded once; in the order given. */
export function weightedSum(terms: readonly { readonly params: Params; readonly factor: number }[]): Params {
  const [first] = terms;
  assert(first !== undefined, 'there is no sum of nothing');
  const entries = [...first.params].map(
    ([
      name,
      {
        shape,
        data: { length },
      },
    ]) => {
      const sum = new Float64Array(length);
      for (const { params, factor } of terms) {
        const value = params.get(name);
        assert(value !== undefined && sameShape(value.shape, shape), `tensors "${name}" do not match`);
        for (let i = 0; i < length; i++) sum[i]! += factor * value.data[i]!;
      }
      return [name, tensor('float32', shape, Float32Array.from(sum))] as const;
    },
  );
  return new Map(entries);
}
