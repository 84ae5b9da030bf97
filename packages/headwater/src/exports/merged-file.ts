/**
 * One safetensors file of a merged model. It keeps the header of its source, or gets one of its own where tensors join that
 * the source does not hold. Unchanged bytes are streamed, changed tensors are rounded to nearest even into their dtype.
 */

import { open } from 'node:fs/promises';
import { HeadwaterError } from '../base/errors.ts';
import { firstNonFinite, narrowed } from '../base/half.ts';
import { bytesOf, sizeBytes } from '../base/tensor.ts';
import { layoutFormats } from '../models/safetensors.ts';
import { FORMAT_NAMES } from '../models/safetensors-format.ts';
import type { SafetensorsEntry } from '../models/safetensors-header.ts';
import { readBytes, type SafetensorsFile, streamBytes } from '../models/safetensors-node.ts';
import type { MergedWeights } from './merged-weights.ts';

export interface FloatType {
  readonly dtype: 'float32' | 'float16' | 'bfloat16';
  readonly shape: readonly number[];
}

interface PlannedTensor {
  /** In the file. */
  readonly name: string;
  readonly lengthBytes: number;
  /** Name that the model knows the tensor by; undefined for what no model reads. */
  readonly known: string | undefined;
  /** Where its bytes are; undefined for a tensor that the source does not hold. */
  readonly entry: SafetensorsEntry | undefined;
  readonly type: FloatType | undefined;
}

export interface FilePlan {
  readonly source: string;
  readonly header: Uint8Array;
  /** In file order. */
  readonly tensors: readonly PlannedTensor[];
  readonly fileBytes: number;
}

export function placeOf(path: string, offsetBytes: number): string {
  return `${offsetBytes} ${path}`;
}

/** `names`: by place. `fresh`: tensors that replace those of the same name; they all go into the file that is `last`. */
export async function planFile(
  shard: SafetensorsFile,
  names: ReadonlyMap<string, string>,
  fresh: ReadonlyMap<string, FloatType>,
  last: boolean,
): Promise<FilePlan> {
  const kept = inFileOrder(shard).filter(({ name }) => !fresh.has(name));
  const planned = kept.map((entry): PlannedTensor => {
    const { name, lengthBytes, dtype, shape } = entry;
    const known = lengthBytes > 0 ? names.get(placeOf(shard.path, entry.offsetBytes)) : undefined;
    // What the model knows is of a dtype that it reads.
    const type = known === undefined ? undefined : { dtype: dtype as FloatType['dtype'], shape };
    return { name, lengthBytes, known, entry, type };
  });
  const joining = last ? [...fresh].map(freshTensor) : [];
  if (kept.length === shard.entries.size && joining.length === 0) {
    const header = await readBytes(shard.path, 0, shard.dataOffsetBytes);
    return { source: shard.path, header, tensors: planned, fileBytes: shard.fileBytes };
  }
  const all = new Map([...planned, ...joining].map((tensor) => [tensor.name, tensor]));
  const formats = new Map([...all].map(([name, tensor]) => [name, formatOf(tensor)]));
  const { header, order, fileBytes } = layoutFormats(formats, shard.metadata);
  return { source: shard.path, header, tensors: order.map((name) => all.get(name)!), fileBytes };
}

function freshTensor([name, type]: readonly [string, FloatType]): PlannedTensor {
  return { name, lengthBytes: sizeBytes(type), known: name, entry: undefined, type };
}

function formatOf({ entry, type }: PlannedTensor) {
  if (entry !== undefined) return { format: entry.format, shape: entry.shape };
  return { format: FORMAT_NAMES[type!.dtype], shape: type!.shape };
}

function inFileOrder({ entries }: SafetensorsFile): SafetensorsEntry[] {
  return [...entries.values()].sort((a, b) => a.offsetBytes - b.offsetBytes || a.lengthBytes - b.lengthBytes);
}

export async function writePlannedFile(path: string, plan: FilePlan, merged: MergedWeights): Promise<void> {
  const handle = await open(path, 'wx');
  try {
    await handle.writeFile(plan.header);
    for (const tensor of plan.tensors) {
      const { known, entry } = tensor;
      if (known !== undefined && (entry === undefined || merged.changed.has(known)))
        await handle.writeFile(mergedBytes(tensor, await merged.read(known), plan.source));
      else if (entry !== undefined)
        for await (const piece of streamBytes(plan.source, entry.offsetBytes, entry.lengthBytes))
          await handle.writeFile(piece);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function mergedBytes({ name, type }: PlannedTensor, values: Float32Array, where: string): Uint8Array {
  const { dtype, shape } = type!;
  const result = narrowed(dtype, shape, values);
  const bad = firstNonFinite(result);
  if (bad >= 0)
    throw new HeadwaterError(
      'MODEL_INVALID',
      `element ${bad} of the merged tensor "${name}" is ${values[bad]}, which ${dtype} cannot hold`,
      { where, hint: 'Merge into a float32 or bfloat16 copy of the base, or with a smaller weight.' },
    );
  return bytesOf(result.data);
}
