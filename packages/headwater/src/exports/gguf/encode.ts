/** float32 values as bytes of a GGUF tensor type. Rounding is to nearest, ties to even for floats, away from zero for Q8_0. */

import { float32ToBfloat16, float32ToFloat16 } from '../../base/half.ts';
import { bytesOf } from '../../base/tensor.ts';
import { GGUF_TENSOR_TYPES, type GgufTensorType } from './format.ts';

export function encodeTensor(type: GgufTensorType, values: Float32Array): Uint8Array {
  switch (type) {
    case 'f32':
      return bytesOf(values);
    case 'f16':
      return bytesOf(float32ToFloat16(values));
    case 'bf16':
      return bytesOf(float32ToBfloat16(values));
    case 'q8_0':
      return encodeQ8(values);
  }
}

/** Blocks of 32 values: a float16 scale d = max|x| / 127, then round(x / d) as int8. */
function encodeQ8(values: Float32Array): Uint8Array {
  const { blockValues, blockBytes } = GGUF_TENSOR_TYPES.q8_0;
  const numBlocks = values.length / blockValues;
  const bytes = new Uint8Array(numBlocks * blockBytes);
  const view = new DataView(bytes.buffer);
  const scales = new Float32Array(numBlocks);
  for (let block = 0; block < numBlocks; block++) {
    let largest = 0;
    for (let i = block * blockValues; i < (block + 1) * blockValues; i++)
      largest = Math.max(largest, Math.abs(values[i] as number));
    scales[block] = largest / 127;
  }
  const halves = float32ToFloat16(scales);
  for (let block = 0; block < numBlocks; block++) {
    const scale = scales[block] as number;
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    view.setUint16(block * blockBytes, halves[block] as number, true);
    for (let i = 0; i < blockValues; i++) {
      const x = Math.fround((values[block * blockValues + i] as number) * inverse);
      view.setInt8(block * blockBytes + 2 + i, Math.sign(x) * Math.floor(Math.abs(x) + 0.5));
    }
  }
  return bytes;
}
