/** The last rows of A and columns of B of an owner of rank r, those from ⌊γ r⌋ on: what HetLoRA's clients penalise and prune. */

import { type Params, type Tensor, tensor } from '../base/tensor.ts';
import { loraFactor } from './lora-factors.ts';

export interface Tail {
  /** The first index of the tail and the first behind it. */
  readonly begin: number;
  readonly end: number;
}

export interface TailPenalty {
  /** Σ over the modules of ‖B[:, tail]‖_F ‖A[tail, :]‖_F. */
  readonly value: number;
  /** Of the factors, zero outside the tail; where a norm is 0 its part counts as flat. */
  readonly gradient: Params;
}

/** `factor` times the sum, with its gradient: ∂/∂A = ‖B‖ A / ‖A‖ and ∂/∂B = ‖A‖ B / ‖B‖ in the tail. */
export function tailPenalty(params: Params, tail: Tail, factor = 1): TailPenalty {
  const gradient = new Map<string, Tensor<'float32'>>();
  let value = 0;
  for (const [name, a] of params) {
    if (loraFactor(name) !== 'A') continue;
    const nameB = name.replace(/\.lora_A(\.[^.]+)$/, '.lora_B$1');
    const b = params.get(nameB)!;
    const [tailA, tailB] = [tailOf(name, a, tail), tailOf(nameB, b, tail)];
    const [normA, normB] = [norm(tailA), norm(tailB)];
    value += factor * normA * normB;
    gradient.set(name, timesScalar(tailA, normA === 0 ? 0 : (factor * normB) / normA));
    gradient.set(nameB, timesScalar(tailB, normB === 0 ? 0 : (factor * normA) / normB));
  }
  return { value, gradient };
}

/** The factors with zeros from the tail on; other tensors as they are. */
export function withoutTail(params: Params, begin: number): Params {
  const head = { begin: 0, end: begin };
  return new Map(
    [...params].map(([name, value]) => [
      name,
      loraFactor(name) === undefined ? value : tailOf(name, value, head),
    ]),
  );
}

/** Zeros outside the rows (A) or columns (B) of `tail`. */
function tailOf(name: string, { shape, data }: Tensor<'float32'>, { begin, end }: Tail): Tensor<'float32'> {
  const columns = shape[1]!;
  const byRow = loraFactor(name) === 'A';
  const kept = data.map((value, i) => {
    const at = byRow ? Math.floor(i / columns) : i % columns;
    return at >= begin && at < end ? value : 0;
  });
  return tensor('float32', shape, kept);
}

function norm({ data }: Tensor<'float32'>): number {
  let sum = 0;
  for (const value of data) sum += value * value;
  return Math.sqrt(sum);
}

function timesScalar({ shape, data }: Tensor<'float32'>, factor: number): Tensor<'float32'> {
  return tensor(
    'float32',
    shape,
    data.map((value) => factor * value),
  );
}
