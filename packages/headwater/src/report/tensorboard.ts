/**
 * TensorBoard's event files: TFRecords (length, masked CRC-32C of it, data, masked CRC-32C of that, little-endian) of
 * tensorflow.Event messages, tensorflow/core/util/event.proto and framework/summary.proto. It knows scalars, no runs.
 */

import { join } from 'node:path';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { makeFolder } from '../base/make-folder-node.ts';
import { writeFileAtomically } from '../storage/atomic-file.ts';
import { crc32c } from '../storage/crc32c.ts';
import type { Scalar } from './scalars.ts';

/** Field numbers. */
const EVENT = { wallTime: 1, step: 2, fileVersion: 3, summary: 5 };
const SUMMARY = { value: 1 };
const VALUE = { tag: 1, simpleValue: 2 };

/** Returns the file's path. The same scalars give the same file, so that writing again does not add a second curve. */
export async function writeEventFile(folder: string, scalars: readonly Scalar[]): Promise<string> {
  await makeFolder(folder);
  const file = join(folder, 'events.out.tfevents.0000000000.headwater');
  await writeFileAtomically(file, eventFile(scalars));
  return file;
}

export function eventFile(scalars: readonly Scalar[]): Uint8Array {
  const begun = Math.min(...scalars.map(({ wallTime }) => wallTime), Number.MAX_SAFE_INTEGER);
  const version = new BinaryWriter()
    .tag(EVENT.wallTime, WireType.Bit64)
    .double(scalars.length === 0 ? 0 : begun)
    .tag(EVENT.fileVersion, WireType.LengthDelimited)
    .string('brain.Event:2')
    .finish();
  return Buffer.concat([version, ...scalars.map(eventOf)].map(recordOf));
}

function eventOf({ tag, round, value, wallTime }: Scalar): Uint8Array {
  const inner = new BinaryWriter()
    .tag(VALUE.tag, WireType.LengthDelimited)
    .string(tag)
    .tag(VALUE.simpleValue, WireType.Bit32)
    .float(value)
    .finish();
  const summary = new BinaryWriter().tag(SUMMARY.value, WireType.LengthDelimited).bytes(inner).finish();
  return new BinaryWriter()
    .tag(EVENT.wallTime, WireType.Bit64)
    .double(wallTime)
    .tag(EVENT.step, WireType.Varint)
    .int64(round)
    .tag(EVENT.summary, WireType.LengthDelimited)
    .bytes(summary)
    .finish();
}

function recordOf(data: Uint8Array): Buffer {
  const record = Buffer.alloc(16 + data.byteLength);
  record.writeBigUInt64LE(BigInt(data.byteLength), 0);
  record.writeUInt32LE(masked(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(masked(data), 12 + data.byteLength);
  return record;
}

/** Rotated by 15 bits plus a constant (tensorflow/core/lib/hash/crc32c.h), so that a CRC of data with CRCs stays one. */
function masked(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
