/**
 * What an aggregation is about, in 32 bytes: every key, signature and sealed share of it is bound to them, so that nothing
 * of one round, attempt, run or layout can be used in another.
 */

import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { joinBytes } from '../../base/bytes.ts';
import { canonicalJson } from '../../base/canonical.ts';
import type { Bytes } from './hkdf.ts';

export interface AggregationContext {
  readonly protocol: 'secagg-plus' | 'two-server';
  readonly run: string;
  readonly round: number;
  /** Of the round, from 1; each has fresh keys. */
  readonly attempt: number;
  /** Owners that may take part. */
  readonly numOwners: number;
  /** Least number of owners in a sum. */
  readonly minOwners: number;
  /** Where sums are over groups, their least size. */
  readonly groupSize?: number;
  /** Rates that neighbourhoods and thresholds follow from, in one-server mode. */
  readonly assumed?: { readonly adversaries: number; readonly dropouts: number };
  /** Words of the vector. */
  readonly length: number;
  /** Digest of names, shapes, fixed-point scales and weights: of what the words mean. */
  readonly layout: string;
  /** Digest of the owners that may take part and their keys. */
  readonly roster: string;
}

/** SHA-256 of a label and the canonical JSON of the fields. */
export function contextBytes(context: AggregationContext): Bytes {
  return labelledHash('context', utf8ToBytes(canonicalJson({ modulusBits: 32, ...context })));
}

/** SHA-256 with a purpose: hashes for different purposes never meet. Parts are of fixed lengths, or the last one. */
export function labelledHash(purpose: string, ...parts: readonly Uint8Array[]): Bytes {
  const label = utf8ToBytes(`headwater/secure-aggregation/v1/${purpose}\0`);
  return new Uint8Array(sha256(joinBytes([label, ...parts])));
}
