/** What a native session is made from: the graph as ONNX, and where its weights lie. It knows no engine and no thread. */

import { sizeBytes } from '../base/tensor.ts';
import type { Graph, KernelSet } from '../graph/ir.ts';
import { type WeightPlacement, writeOnnx } from '../graph/onnx/writer.ts';
import { needed } from '../graph/reachable.ts';
import type { SessionOptions, WeightLocation, WeightSource } from './executor.ts';
import type { NativeOptions, NativeOrder } from './native-session-node.ts';

export interface PlanOptions extends NativeOptions {
  readonly kernels: KernelSet;
}

/** Throws MODEL_INVALID when the checkpoint lacks a tensor. */
export function nativeOrder(
  graph: Graph,
  weights: WeightSource,
  { kernels, ...options }: PlanOptions,
  { label = 'graph', prepack = options.prepack }: SessionOptions,
): NativeOrder {
  const locations = new Map([...graph.weights.keys()].map((name) => [name, weights.locate(name)]));
  const folder = commonFolder([...locations.values()]);
  const place = (name: string) => placement(locations.get(name) as WeightLocation, folder);
  const { bytes, inputs, outputs } = writeOnnx(graph, { kernels, place, packed: prepack });
  const arena = hasLargeTensor(graph);
  return { label, bytes, folder, arena, inputs, outputs, options: { ...options, prepack } };
}

/** What the system's allocator gives back to the kernel on each free, to be faulted in again on the next run. */
const LARGE_BYTES = 32 * 2 ** 20;

/**
 * An arena per session keeps what its largest run needed, for ever; without one all sessions of a thread share the
 * allocator's pages. The arena pays only when tensors are too large for those.
 */
function hasLargeTensor(graph: Graph): boolean {
  return needed(graph).some(
    (node) => node.inputs.length > 0 && node.outputs.some((out) => sizeBytes(out) > LARGE_BYTES),
  );
}

function placement(location: WeightLocation, folder: string): WeightPlacement {
  if (location.kind === 'memory') return { tensor: location.tensor };
  const { path, offsetBytes, lengthBytes } = location;
  return { location: path.slice(folder === '/' ? 1 : folder.length + 1), offsetBytes, lengthBytes };
}

/** The deepest folder that holds all shards; ONNX Runtime takes paths relative to one folder only. */
function commonFolder(locations: readonly WeightLocation[]): string {
  const folders = locations.flatMap((l) => (l.kind === 'file' ? [l.path.split(/[\\/]/).slice(0, -1)] : []));
  const [first, ...others] = folders;
  if (first === undefined) return '';
  let length = first.length;
  for (const other of others) {
    let same = 0;
    while (same < Math.min(length, other.length) && other[same] === first[same]) same++;
    length = same;
  }
  return first.slice(0, length).join('/') || '/';
}
