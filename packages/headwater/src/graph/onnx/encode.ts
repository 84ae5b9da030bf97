/**
 * The messages of onnx.proto that models here consist of, as plain data, and their bytes. Browsers get this instead of the generated
 * code, which describes every message of the format; the test holds the two against each other. It knows no ops.
 */

import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { OnnxAttribute } from '../ir.ts';

export interface NodeProto {
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly name?: string;
  readonly opType: string;
  readonly domain?: string;
  readonly attribute?: readonly (readonly [name: string, value: OnnxAttribute])[];
}

export interface TensorProto {
  readonly name: string;
  /** TensorProto.DataType. */
  readonly dataType: number;
  readonly dims: readonly number[];
  /** Bytes, or the entries that say in which file they are. */
  readonly data: Uint8Array | Readonly<Record<string, string>>;
}

export interface ValueInfo {
  readonly name: string;
  readonly elemType: number;
  /** A text names a size that is not fixed. */
  readonly dims: readonly (number | string)[];
}

export interface ModelProto {
  readonly irVersion: number;
  readonly producerName: string;
  readonly opsets: readonly { readonly domain: string; readonly version: number }[];
  readonly graph: {
    readonly name: string;
    readonly node: readonly NodeProto[];
    readonly initializer: readonly TensorProto[];
    readonly input: readonly ValueInfo[];
    readonly output: readonly ValueInfo[];
  };
}

const EXTERNAL = 1;
const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 } as const;

/** Fields in the order of their numbers, as protobuf's own writers do. */
export function encodeModel({ irVersion, producerName, opsets, graph }: ModelProto): Uint8Array {
  const writer = new BinaryWriter();
  int(writer, 1, irVersion);
  text(writer, 2, producerName);
  message(writer, 7, () => {
    for (const node of graph.node) message(writer, 1, () => encodeNode(writer, node));
    text(writer, 2, graph.name);
    for (const tensor of graph.initializer) message(writer, 5, () => encodeTensor(writer, tensor));
    for (const value of graph.input) message(writer, 11, () => encodeValue(writer, value));
    for (const value of graph.output) message(writer, 12, () => encodeValue(writer, value));
  });
  for (const { domain, version } of opsets)
    message(writer, 8, () => {
      text(writer, 1, domain);
      int(writer, 2, version);
    });
  return writer.finish();
}

function encodeNode(
  writer: BinaryWriter,
  { input, output, name, opType, domain, attribute }: NodeProto,
): void {
  for (const each of input) text(writer, 1, each);
  for (const each of output) text(writer, 2, each);
  if (name !== undefined) text(writer, 3, name);
  text(writer, 4, opType);
  for (const [key, value] of attribute ?? []) message(writer, 5, () => encodeAttribute(writer, key, value));
  if (domain !== undefined) text(writer, 7, domain);
}

function encodeAttribute(writer: BinaryWriter, name: string, value: OnnxAttribute): void {
  text(writer, 1, name);
  if ('float' in value) writer.tag(2, WireType.Bit32).float(value.float);
  if ('int' in value) int(writer, 3, value.int);
  if ('string' in value) text(writer, 4, value.string);
  if ('ints' in value) for (const each of value.ints) int(writer, 8, each);
  const [kind] = Object.keys(value) as [keyof typeof ATTRIBUTE_TYPE];
  int(writer, 20, ATTRIBUTE_TYPE[kind]);
}

function encodeTensor(writer: BinaryWriter, { name, dataType, dims, data }: TensorProto): void {
  for (const size of dims) int(writer, 1, size);
  int(writer, 2, dataType);
  text(writer, 8, name);
  if (data instanceof Uint8Array) {
    writer.tag(9, WireType.LengthDelimited).bytes(data);
    return;
  }
  for (const [key, value] of Object.entries(data))
    message(writer, 13, () => {
      text(writer, 1, key);
      text(writer, 2, value);
    });
  int(writer, 14, EXTERNAL);
}

/** ValueInfoProto { name, type: TypeProto { tensor_type: { elem_type, shape: { dim } } } } */
function encodeValue(writer: BinaryWriter, { name, elemType, dims }: ValueInfo): void {
  text(writer, 1, name);
  const dimension = (size: number | string) => () =>
    typeof size === 'string' ? text(writer, 2, size) : int(writer, 1, size);
  const shape = () => {
    for (const size of dims) message(writer, 1, dimension(size));
  };
  const tensorType = () => {
    int(writer, 1, elemType);
    message(writer, 2, shape);
  };
  message(writer, 2, () => message(writer, 1, tensorType));
}

function int(writer: BinaryWriter, field: number, value: number): void {
  writer.tag(field, WireType.Varint).int64(value);
}

function text(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}

function message(writer: BinaryWriter, field: number, fill: () => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  fill();
  writer.join();
}
