/**
 * The tensor IR: a static-shape, single-assignment graph. A `Value` is one output of one `Node`; a node applies one op
 * record (`ops/*.ts`) to values. Nothing here knows ONNX Runtime, files or training.
 *
 * Leaves: `input` (fed at each run: tokens, trainable tensors), `weight` (a named frozen tensor of the checkpoint, found
 * by the runtime in its file) and `constant` (small data inside the graph).
 */

import { assert } from '../base/errors.ts';
import { type DType, type Tensor, type TensorType, tensor } from '../base/tensor.ts';

/** Which kernels an emitted graph may use. `portable`: ops that CPU, WebGPU and WASM all have; `cpu`: fused kernels too. */
export type KernelSet = 'cpu' | 'portable';

/** Nodes first ≤ id < end, made from `input` to give `output`, that the backward pass computes again (`recompute.ts`). */
export interface RecomputedBlock {
  readonly first: number;
  readonly end: number;
  readonly input: Value;
  readonly output: Value;
}

export type Attrs = Readonly<Record<string, unknown>>;

export interface Value extends TensorType {
  readonly graph: Graph;
  readonly node: Node;
  /** Which output of the node. */
  readonly index: number;
  readonly id: number;
}

export interface Node {
  readonly id: number;
  readonly op: AnyOp;
  readonly inputs: readonly Value[];
  readonly attrs: Attrs;
  readonly outputs: readonly Value[];
}

/** float64 array used by the reference interpreter. */
export interface RefTensor {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export interface VjpArgs<A extends Attrs> {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attrs: A;
  /** Gradient with respect to each output; undefined where nothing flows back. */
  readonly grads: readonly (Value | undefined)[];
  /** Which inputs need a gradient; the others may be left undefined. */
  readonly needs: readonly boolean[];
}

/** Vector–Jacobian product: gradient of the loss with respect to each input. */
export type Vjp<A extends Attrs> = (args: VjpArgs<A>) => readonly (Value | undefined)[];

/** What an op sees when it writes itself as ONNX nodes. */
export interface OnnxContext {
  readonly kernels: KernelSet;
  /** Frozen operands are repacked for the kernels when the session is made. */
  readonly packed: boolean;
  /** Names of the inputs. */
  readonly inputs: readonly string[];
  readonly inputTypes: readonly TensorType[];
  readonly outputTypes: readonly TensorType[];
  /** Appends one ONNX node and returns the names of its outputs ('' skips an optional input). */
  emit(
    opType: string,
    inputs: readonly string[],
    attributes?: Readonly<Record<string, OnnxAttribute>>,
    options?: { readonly domain?: string; readonly outputs?: number },
  ): [string, ...string[]];
  /** An input that is a weight or a constant, its bytes read as another type. */
  retyped(input: string, type: 'uint8' | 'uint4', shape: readonly number[]): string;
  /** A constant initializer. */
  constant(value: Tensor): string;
  /** int64 vector initializer (shapes, axes). */
  ints(values: readonly number[]): string;
  /** float32 scalar initializer. */
  scalar(value: number): string;
}

export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly string: string };

/**
 * One op, complete: a missing rule does not compile.
 * `infer` checks shapes and throws on misuse; `reference` is the float64 oracle that the tests trust.
 */
export interface Op<A extends Attrs> {
  readonly id: string;
  infer(inputs: readonly TensorType[], attrs: A): readonly TensorType[];
  readonly vjp: Vjp<A> | { readonly nonDifferentiable: string };
  onnx(context: OnnxContext, attrs: A): readonly string[];
  reference(inputs: readonly RefTensor[], attrs: A, outputs: readonly TensorType[]): readonly RefTensor[];
}

// biome-ignore lint/suspicious/noExplicitAny: a node holds an op whose attribute type is known only to that op
export type AnyOp = Op<any>;

export function defineOp<A extends Attrs>(op: Op<A>): Op<A> {
  return op;
}

interface LeafAttrs extends Attrs {
  readonly name: string;
}

function leaf(id: string, why: string): Op<LeafAttrs> {
  return {
    id,
    infer: () => [],
    vjp: { nonDifferentiable: why },
    onnx: () => [],
    reference: () => {
      throw new Error(`${id} has no computation`);
    },
  };
}

/** A dimension that every run decides anew; only ops that say so take such values. Everything else is static. */
export const ANY = -1;

/** Leaves carry no computation: the interpreter and the ONNX writer treat them by id. */
export const INPUT = leaf('input', 'a leaf');
export const WEIGHT = leaf('weight', 'a frozen leaf');
export const CONSTANT = leaf('constant', 'a leaf');

export class Graph {
  readonly nodes: Node[] = [];
  readonly inputs = new Map<string, Value>();
  readonly weights = new Map<string, Value>();
  readonly constants = new Map<Value, Tensor>();
  readonly outputs = new Map<string, Value>();
  readonly recomputed: RecomputedBlock[] = [];
  #nextValue = 0;

  /** A tensor fed at each run. The same name gives the same value; another type for it is our mistake. */
  input(name: string, dtype: DType, shape: readonly number[]): Value {
    return this.#named(this.inputs, INPUT, name, { dtype, shape });
  }

  /** A frozen tensor of the checkpoint, in the dtype it is stored in. */
  weight(name: string, dtype: DType, shape: readonly number[]): Value {
    return this.#named(this.weights, WEIGHT, name, { dtype, shape });
  }

  constant(value: Tensor): Value {
    const node = this.#add(CONSTANT, [], { name: '' }, [value]);
    const result = node.outputs[0] as Value;
    this.constants.set(result, value);
    return result;
  }

  /** float32 scalar of shape `[]`. */
  scalar(value: number): Value {
    return this.constant(tensor('float32', [], Float32Array.of(value)));
  }

  output(name: string, value: Value): void {
    assert(!this.outputs.has(name), `output ${name} declared twice`);
    assert(value.graph === this, `output ${name} belongs to another graph`);
    this.outputs.set(name, value);
  }

  apply<A extends Attrs>(op: Op<A>, inputs: readonly Value[], attrs: A): readonly Value[] {
    for (const value of inputs) assert(value.graph === this, `${op.id} mixes two graphs`);
    const types = op.infer(inputs, attrs);
    return this.#add(op, inputs, attrs, types).outputs;
  }

  #named(table: Map<string, Value>, op: AnyOp, name: string, type: TensorType): Value {
    const known = table.get(name);
    if (known !== undefined) {
      assert(
        known.dtype === type.dtype && known.shape.join() === type.shape.join(),
        `${op.id} ${name} is ${known.dtype}[${known.shape}], asked as ${type.dtype}[${type.shape}]`,
      );
      return known;
    }
    const value = this.#add(op, [], { name }, [type]).outputs[0] as Value;
    table.set(name, value);
    return value;
  }

  #add(op: AnyOp, inputs: readonly Value[], attrs: Attrs, types: readonly TensorType[]): Node {
    const outputs: Value[] = [];
    const node: Node = { id: this.nodes.length, op, inputs, attrs, outputs };
    for (const [index, type] of types.entries())
      outputs.push({ graph: this, node, index, id: this.#nextValue++, dtype: type.dtype, shape: type.shape });
    this.nodes.push(node);
    return node;
  }
}

/** Applies a one-output op. */
export function apply<A extends Attrs>(op: Op<A>, inputs: readonly Value[], attrs: A): Value {
  const first = inputs[0];
  assert(first !== undefined, `${op.id} needs an input`);
  const [result] = first.graph.apply(op, inputs, attrs);
  assert(result !== undefined, `${op.id} has no output`);
  return result;
}
