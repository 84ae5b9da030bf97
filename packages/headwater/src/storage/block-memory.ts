/**
 * Blocks of 1 MiB that serve again and again: memory outside the heap that is made anew for each block makes V8 collect
 * garbage many times a second. A block is given back only when nobody looks at it any more.
 */

export const BLOCK_BYTES = 2 ** 20;

const MAX_KEPT = 16;
const kept: Uint8Array[] = [];

export function takeBlock(): Uint8Array {
  return kept.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
}

export function giveBlock(block: Uint8Array | undefined): void {
  if (block !== undefined && kept.length < MAX_KEPT) kept.push(block);
}
