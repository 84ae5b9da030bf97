/**
 * safetensors from bytes that arrive in pieces: the header is checked before the first element is given, every byte of the
 * file is accounted for, and memory stays that of a piece. It does no I/O and knows no model.
 */

import { joinBytes } from '../base/bytes.ts';
import { FORMAT_BITS, refuse, type SafetensorsOptions } from './safetensors-format.ts';
import {
  parseSafetensorsHeader,
  type SafetensorsEntry,
  type SafetensorsHeader,
  safetensorsHeaderBytes,
} from './safetensors-header.ts';

export interface SafetensorsSink {
  /** Once, before any data. Throwing refuses the file. */
  header(header: SafetensorsHeader): void;
  /** Whole elements, aligned to their width, from `offsetBytes` of the tensor on; valid until the call returns. */
  data(entry: SafetensorsEntry, offsetBytes: number, bytes: Uint8Array): void;
}

export interface SafetensorsReader {
  push(piece: Uint8Array): void;
  /** No more bytes. Throws when some are missing. */
  end(): void;
}

/** Tensors come in file order; of empty ones there are no data. Both calls throw SAFETENSORS_INVALID. */
export function createSafetensorsReader(
  sink: SafetensorsSink,
  options: SafetensorsOptions,
): SafetensorsReader {
  /** A header that is not whole yet. */
  let start: Uint8Array | undefined;
  let tensors: TensorsReader | undefined;

  function pushHeader(piece: Uint8Array): void {
    const bytes = start === undefined ? piece : joinBytes([start, piece]);
    const dataOffset = 8 + (bytes.byteLength < 8 ? 1 : safetensorsHeaderBytes(bytes, undefined, options));
    if (bytes.byteLength < dataOffset) {
      // The piece is its sender's again after this call.
      start = start === undefined ? bytes.slice() : bytes;
      return;
    }
    const header = parseSafetensorsHeader(bytes, undefined, options);
    sink.header(header);
    start = undefined;
    tensors = tensorsReader(header, sink, options);
    tensors.push(bytes.subarray(dataOffset));
  }

  return {
    push: (piece) => (tensors === undefined ? pushHeader(piece) : tensors.push(piece)),
    end() {
      if (tensors === undefined) {
        const bytes = start ?? new Uint8Array(0);
        safetensorsHeaderBytes(bytes, bytes.byteLength, options);
        throw refuse('MetadataIncompleteBuffer', 'the file ends inside its header', options);
      }
      tensors.end();
    },
  };
}

/** Feeds a reader to the end of a source. */
export async function readAllOf(
  source: AsyncIterable<Uint8Array>,
  reader: Pick<SafetensorsReader, 'push' | 'end'>,
): Promise<void> {
  for await (const piece of source) reader.push(piece);
  reader.end();
}

type TensorsReader = SafetensorsReader;

function tensorsReader(
  { entries }: SafetensorsHeader,
  sink: SafetensorsSink,
  options: SafetensorsOptions,
): TensorsReader {
  const order = [...entries.values()]
    .filter(({ lengthBytes }) => lengthBytes > 0)
    .sort((a, b) => a.offsetBytes - b.offsetBytes);
  let index = 0;
  /** Of the current tensor. */
  let given = 0;
  /** The first bytes of an element that the last piece cut. */
  let cut = new Uint8Array(0);

  function give(entry: SafetensorsEntry, bytes: Uint8Array): void {
    const width = Math.max(1, FORMAT_BITS.get(entry.format)! / 8);
    const whole = bytes.subarray(0, bytes.byteLength - (bytes.byteLength % width));
    cut = bytes.slice(whole.byteLength);
    if (whole.byteLength === 0) return;
    sink.data(entry, given, whole.byteOffset % width === 0 ? whole : whole.slice());
    given += whole.byteLength;
  }

  return {
    push(piece) {
      let rest = piece;
      while (rest.byteLength > 0) {
        const entry = order[index];
        if (entry === undefined) throw wrongLength('more', options);
        const left = entry.lengthBytes - given - cut.byteLength;
        const own = rest.subarray(0, left);
        rest = rest.subarray(own.byteLength);
        give(entry, cut.byteLength === 0 ? own : joinBytes([cut, own]));
        if (given < entry.lengthBytes) continue;
        index += 1;
        given = 0;
      }
    },
    end() {
      if (index < order.length) throw wrongLength('fewer', options);
    },
  };
}

function wrongLength(how: 'more' | 'fewer', options: SafetensorsOptions): Error {
  return refuse('MetadataIncompleteBuffer', `the file has ${how} bytes than its header describes`, options);
}
