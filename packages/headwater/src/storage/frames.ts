/**
 * JSON values in a file that only grows: `length u32 LE | CRC-32C u32 LE | UTF-8 JSON`, the check sum over length and JSON.
 * What a crash leaves half written at the end does not check; reading stops there. It knows nothing of what values mean.
 */

import { crc32c } from './crc32c.ts';

const HEADER_BYTES = 8;

export function encodeFrame(value: unknown): Uint8Array {
  const json = Buffer.from(JSON.stringify(value), 'utf8');
  const frame = Buffer.allocUnsafe(HEADER_BYTES + json.byteLength);
  frame.writeUInt32LE(json.byteLength, 0);
  frame.writeUInt32LE(checkSum(frame.subarray(0, 4), json), 4);
  frame.set(json, HEADER_BYTES);
  return frame;
}

export interface Frames {
  readonly values: readonly unknown[];
  /** Bytes up to the end of the last whole frame. */
  readonly end: number;
  /**
   * A whole frame lies behind a broken one. A crash breaks only what was written last, so this is damage. No JSON text
   * looks like a frame: the last byte of a length below 512 MiB is a control character, which JSON escapes.
   */
  readonly damaged: boolean;
}

export function decodeFrames(bytes: Uint8Array): Frames {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values: unknown[] = [];
  let end = 0;
  for (let json = frameAt(file, end); json !== undefined; json = frameAt(file, end)) {
    values.push(JSON.parse(json.toString('utf8')));
    end += HEADER_BYTES + json.byteLength;
  }
  return { values, end, damaged: hasFrameBehind(file, end) };
}

function frameAt(file: Buffer, at: number): Buffer | undefined {
  if (at + HEADER_BYTES > file.byteLength) return undefined;
  const length = file.readUInt32LE(at);
  const json = file.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length);
  if (json.byteLength < length) return undefined;
  return file.readUInt32LE(at + 4) === checkSum(file.subarray(at, at + 4), json) ? json : undefined;
}

function hasFrameBehind(file: Buffer, end: number): boolean {
  for (let at = end + 1; at + HEADER_BYTES < file.byteLength; at += 1) {
    const length = file.readUInt32LE(at);
    if (length > 0 && length <= file.byteLength - at && frameAt(file, at) !== undefined) return true;
  }
  return false;
}

function checkSum(length: Uint8Array, json: Uint8Array): number {
  return crc32c(json, crc32c(length));
}
