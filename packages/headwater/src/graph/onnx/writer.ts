/** Writes a graph as an ONNX model (protobuf). Frozen weights are external data: the file holds graph and small constants only. */

import { assert } from '../../base/errors.ts';
import { bytesOf, type Tensor, type TensorType, tensor } from '../../base/tensor.ts';
import {
  ANY,
  CONSTANT,
  type Graph,
  INPUT,
  type KernelSet,
  type Node,
  type OnnxContext,
  type Value,
  WEIGHT,
} from '../ir.ts';
import { ONNX_TYPE } from '../ops/arithmetic.ts';
import { needed } from '../reachable.ts';
import { encodeModel, type NodeProto, type TensorProto, type ValueInfo } from './encode.ts';

/** ONNX operator set and IR version that ONNX Runtime 1.30 reads on every provider. */
const OPSET = 21;
const IR_VERSION = 10;

/** TensorProto.DataType of a type that tensors here do not have. */
const UINT4 = 21;

/** Where a frozen weight lies: in a file next to the model, or in memory. */
export type WeightPlacement =
  | { readonly location: string; readonly offsetBytes: number; readonly lengthBytes: number }
  | { readonly tensor: Tensor };

export interface OnnxModel {
  readonly bytes: Uint8Array;
  /** Graph inputs that are used; a declared input that no output needs is not asked for. */
  readonly inputs: ReadonlyMap<string, TensorType>;
  readonly outputs: ReadonlyMap<string, TensorType>;
}

export interface WriteOptions {
  readonly kernels: KernelSet;
  readonly place: (weightName: string) => WeightPlacement;
  /** The session will repack frozen operands for its kernels. Default: no. */
  readonly packed?: boolean;
}

export function writeOnnx(graph: Graph, options: WriteOptions): OnnxModel {
  assert(graph.outputs.size > 0, 'a graph without outputs');
  const writer = new Writer(options);
  for (const node of needed(graph)) writer.node(node, graph);
  for (const [name, value] of graph.outputs) writer.output(name, value);
  return writer.finish();
}

/** Collects the protobuf parts of one model. */
class Writer {
  readonly #options: WriteOptions;
  readonly #nodes: NodeProto[] = [];
  readonly #initializers = new Map<string, TensorProto>();
  readonly #inputs = new Map<string, TensorType>();
  readonly #outputs = new Map<string, TensorType>();
  readonly #names = new Map<Value, string>();
  #fresh = 0;

  constructor(options: WriteOptions) {
    this.#options = options;
  }

  node(node: Node, graph: Graph): void {
    const first = node.outputs[0] as Value;
    const name = String(node.attrs.name ?? '');
    if (node.op === INPUT) {
      this.#inputs.set(name, { dtype: first.dtype, shape: first.shape });
      this.#names.set(first, name);
    } else if (node.op === WEIGHT) this.#names.set(first, this.#weight(name, first));
    else if (node.op === CONSTANT)
      this.#names.set(first, this.#constant(graph.constants.get(first) as Tensor));
    else this.#operation(node);
  }

  output(name: string, value: Value): void {
    this.#nodes.push({ opType: 'Identity', input: [this.#nameOf(value)], output: [name] });
    this.#outputs.set(name, { dtype: value.dtype, shape: value.shape });
  }

  finish(): OnnxModel {
    const read = new Set(this.#nodes.flatMap(({ input }) => input));
    const bytes = encodeModel({
      irVersion: IR_VERSION,
      producerName: 'headwater',
      opsets: [
        { domain: '', version: OPSET },
        { domain: 'com.microsoft', version: 1 },
      ],
      graph: {
        name: 'headwater',
        node: this.#nodes,
        initializer: [...this.#initializers.values()].filter(({ name }) => read.has(name)),
        input: [...this.#inputs].map(([name, type]) => valueInfo(name, type)),
        output: [...this.#outputs].map(([name, type]) => valueInfo(name, type)),
      },
    });
    return { bytes, inputs: this.#inputs, outputs: this.#outputs };
  }

  #operation(node: Node): void {
    const context: OnnxContext = {
      kernels: this.#options.kernels,
      packed: this.#options.packed ?? false,
      inputs: node.inputs.map((input) => this.#nameOf(input)),
      inputTypes: node.inputs,
      outputTypes: node.outputs,
      emit: (opType, inputs, attributes = {}, { domain = '', outputs = 1 } = {}) => {
        const names = Array.from({ length: outputs }, () => `v${this.#fresh++}`);
        const attribute = Object.entries(attributes);
        const name = `${node.op.id}_${node.id}_${this.#nodes.length}`;
        this.#nodes.push({ name, opType, domain, input: inputs, output: names, attribute });
        return names as [string, ...string[]];
      },
      retyped: (input, type, shape) => this.#retyped(input, type, shape),
      constant: (value) => this.#constant(value),
      ints: (values) => this.#constant(tensor('int64', [values.length], BigInt64Array.from(values, BigInt))),
      scalar: (value) => this.#constant(tensor('float32', [], Float32Array.of(value))),
    };
    const names = node.op.onnx(context, node.attrs);
    for (const [i, output] of node.outputs.entries()) {
      const name = names[i];
      if (name !== undefined) this.#names.set(output, name);
    }
  }

  #nameOf(value: Value): string {
    const name = this.#names.get(value);
    assert(name !== undefined, `output ${value.index} of ${value.node.op.id} has no ONNX name`);
    return name;
  }

  /** Equal small constants share one initializer. */
  #constant(value: Tensor): string {
    const bytes = bytesOf(value.data);
    const key =
      bytes.length <= 64 ? `c_${value.dtype}_${value.shape.join('x')}_${hex(bytes)}` : `c${this.#fresh++}`;
    if (!this.#initializers.has(key)) this.#initializers.set(key, inline(key, value));
    return key;
  }

  #retyped(input: string, type: 'uint8' | 'uint4', shape: readonly number[]): string {
    const key = `${input} as ${type} ${shape.join('x')}`;
    const source = this.#initializers.get(input);
    assert(source !== undefined, `${input} has no bytes of its own that could be read as ${type}`);
    const dataType = type === 'uint4' ? UINT4 : ONNX_TYPE.uint8;
    this.#initializers.set(key, { ...source, name: key, dataType, dims: shape });
    return key;
  }

  #weight(name: string, type: TensorType): string {
    const key = `w:${name}`;
    const placement = this.#options.place(name);
    if ('tensor' in placement) this.#initializers.set(key, inline(key, placement.tensor));
    else this.#initializers.set(key, external(key, type, placement));
    return key;
  }
}

function inline(name: string, value: Tensor): TensorProto {
  return { name, dataType: ONNX_TYPE[value.dtype], dims: value.shape, data: bytesOf(value.data) };
}

function external(
  name: string,
  type: TensorType,
  { location, offsetBytes, lengthBytes }: { location: string; offsetBytes: number; lengthBytes: number },
): TensorProto {
  const data = { location, offset: String(offsetBytes), length: String(lengthBytes) };
  return { name, dataType: ONNX_TYPE[type.dtype], dims: type.shape, data };
}

function valueInfo(name: string, type: TensorType): ValueInfo {
  const dims = type.shape.map((size) => (size === ANY ? 'any' : size));
  return { name, elemType: ONNX_TYPE[type.dtype], dims };
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
