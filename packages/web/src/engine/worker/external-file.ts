/**
 * A stored file in the shape in which ONNX Runtime takes external data, read one tensor at a time while a session is made: the
 * file is never whole on the JavaScript heap.
 */

import type { Reader } from './reader.ts';

/**
 * ONNX Runtime asks for `byteLength` and `subarray(begin, end)` and copies what it gets at once, into its heap or onto the GPU
 * (Module.MountedFiles in its loader). Each answer is a view of one buffer that the next answer overwrites.
 */
class ExternalFile extends Uint8Array<ArrayBuffer> {
  readonly #reader: Reader;
  #scratch = new Uint8Array(0);

  constructor(reader: Reader) {
    super(new ArrayBuffer(0));
    this.#reader = reader;
  }

  override get byteLength(): number {
    return this.#reader.sizeBytes;
  }

  override subarray(begin = 0, end = this.#reader.sizeBytes): Uint8Array<ArrayBuffer> {
    const length = end - begin;
    if (this.#scratch.length < length) this.#scratch = new Uint8Array(length);
    const piece = new Uint8Array(this.#scratch.buffer, 0, length);
    this.#reader.readInto(piece, begin);
    return piece;
  }
}

export function externalFile(reader: Reader): Uint8Array {
  return new ExternalFile(reader);
}
