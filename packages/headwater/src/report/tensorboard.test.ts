import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { expect, test } from 'vitest';
import { crc32c } from '../storage/crc32c.ts';
import type { Scalar } from './scalars.ts';
import { eventFile } from './tensorboard.ts';

interface ReadEvent {
  wallTime: number;
  step: number;
  version: string | undefined;
  values: { tag: string; value: number }[];
}

/** A reader written from the format's description; it refuses wrong checksums. */
function readRecords(file: Uint8Array): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const records: Uint8Array[] = [];
  for (let at = 0; at < file.byteLength; ) {
    const length = Number(view.getBigUint64(at, true));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(unmasked(view.getUint32(at + 8, true))).toBe(crc32c(file.subarray(at, at + 8)));
    expect(unmasked(view.getUint32(at + 12 + length, true))).toBe(crc32c(data));
    records.push(data);
    at += 16 + length;
  }
  return records;
}

function unmasked(value: number): number {
  const rotated = (value - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}

function readEvent(bytes: Uint8Array): ReadEvent {
  const event: ReadEvent = { wallTime: Number.NaN, step: 0, version: undefined, values: [] };
  each(bytes, (field, reader) => {
    if (field === 1) event.wallTime = reader.double();
    else if (field === 2) event.step = Number(reader.int64());
    else if (field === 3) event.version = reader.string();
    else if (field === 5) each(reader.bytes(), (_, summary) => event.values.push(readValue(summary.bytes())));
    else throw new Error(`field ${field}`);
  });
  return event;
}

function readValue(bytes: Uint8Array): { tag: string; value: number } {
  const value = { tag: '', value: Number.NaN };
  each(bytes, (field, reader, wire) => {
    if (field === 1) value.tag = reader.string();
    else {
      expect([field, wire]).toEqual([2, WireType.Bit32]);
      value.value = reader.float();
    }
  });
  return value;
}

function each(bytes: Uint8Array, visit: (field: number, reader: BinaryReader, wire: WireType) => void): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    visit(field, reader, wire);
  }
}

const scalars: Scalar[] = [
  { tag: 'train/loss', round: 1, value: 2.5, wallTime: 1_700_000_000.25 },
  { tag: 'validation/exact match ü', round: 300, value: -0.125, wallTime: 1_700_000_001 },
];

test('what is written is read back: version first, then one event for each scalar', () => {
  const [version, ...events] = readRecords(eventFile(scalars)).map(readEvent);
  expect(version).toMatchObject({ version: 'brain.Event:2', wallTime: 1_700_000_000.25, values: [] });
  expect(events).toEqual(
    scalars.map(({ tag, round, value, wallTime }) => ({
      wallTime,
      step: round,
      version: undefined,
      values: [{ tag, value }],
    })),
  );
});

test('the masked checksum is that of the reference: the empty length of TensorFlow’s own files', () => {
  // Length 24 of the version event of every file that TensorBoard’s writers begin with.
  const header = eventFile([]).subarray(0, 12);
  expect(Buffer.from(header).toString('hex')).toBe('1800000000000000a37f4b22');
});

test('without scalars there is a file that can be opened', () => {
  expect(readRecords(eventFile([])).map(readEvent)).toEqual([
    { wallTime: 0, step: 0, version: 'brain.Event:2', values: [] },
  ]);
});
