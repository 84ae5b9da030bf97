import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { encodeModel, type ModelProto } from './encode.ts';
import { AttributeProto_AttributeType, ModelProtoSchema, TensorProto_DataLocation } from './onnx_pb.js';

const model: ModelProto = {
  irVersion: 10,
  producerName: 'headwater',
  opsets: [
    { domain: '', version: 21 },
    { domain: 'com.microsoft', version: 1 },
  ],
  graph: {
    name: 'graph',
    node: [
      {
        ...{ name: 'n', opType: 'Op', domain: '', input: ['a', '', 'b'], output: ['c'] },
        attribute: [
          ['axis', { int: -1 }],
          ['alpha', { float: 0.25 }],
          ['perm', { ints: [0, -2, 2 ** 40] }],
          ['mode', { string: 'größer' }],
          ['none', { ints: [] }],
        ],
      },
      { opType: 'Identity', input: ['c'], output: ['y'] },
    ],
    initializer: [
      { name: 'inside', dataType: 1, dims: [2], data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
      { name: 'scalar', dataType: 7, dims: [], data: new Uint8Array(8) },
      { name: 'outside', dataType: 10, dims: [300, 4], data: { location: 'x', offset: '8', length: '2400' } },
    ],
    input: [{ name: 'x', elemType: 1, dims: ['any', 64] }],
    output: [{ name: 'y', elemType: 1, dims: [] }],
  },
};

describe('a model as bytes', () => {
  it('is what the generated code of onnx.proto reads and would write, to the byte', () => {
    const bytes = encodeModel(model);
    const read = fromBinary(ModelProtoSchema, bytes);
    expect(Buffer.from(toBinary(ModelProtoSchema, read))).toEqual(Buffer.from(bytes));
    expect(read).toMatchObject({ irVersion: 10n, producerName: 'headwater' });
    expect(read.opsetImport).toMatchObject([{ version: 21n }, { domain: 'com.microsoft', version: 1n }]);
    const { node, initializer, input, output } = read.graph!;
    expect(node[0]).toMatchObject({ name: 'n', opType: 'Op', input: ['a', '', 'b'], output: ['c'] });
    const { INT, FLOAT, INTS, STRING } = AttributeProto_AttributeType;
    expect(node[0]!.attribute).toMatchObject([
      { name: 'axis', type: INT, i: -1n },
      { name: 'alpha', type: FLOAT, f: 0.25 },
      { name: 'perm', type: INTS, ints: [0n, -2n, 2n ** 40n] },
      { name: 'mode', type: STRING, s: new TextEncoder().encode('größer') },
      { name: 'none', type: INTS, ints: [] },
    ]);
    expect(initializer).toMatchObject([
      { name: 'inside', dataType: 1, dims: [2n], rawData: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
      { name: 'scalar', dims: [], rawData: new Uint8Array(8) },
      { name: 'outside', dims: [300n, 4n], dataLocation: TensorProto_DataLocation.EXTERNAL },
    ]);
    expect(initializer[2]!.externalData.map(({ key, value }) => [key, value])).toEqual([
      ['location', 'x'],
      ['offset', '8'],
      ['length', '2400'],
    ]);
    const dims = (of: typeof input) =>
      of.map(({ type }) => type?.value.case === 'tensorType' && type.value.value.shape?.dim);
    expect(dims(input)).toMatchObject([
      [{ value: { case: 'dimParam', value: 'any' } }, { value: { case: 'dimValue', value: 64n } }],
    ]);
    expect(dims(output)).toEqual([[]]);
  });
});
