/** What a watch for free-riders is asked and what it tells: plain data, with no dependency on runs. It bans nobody. */

/** What a plan says. */
export interface FreeRiderWatch {
  /** Blocks of the model, from the last, whose adapter tensors are compared. */
  readonly layers: number;
}

/**
 * What an update of a round showed. `zero`: nothing but zeros. `copy`: the bytes of another owner’s, sent after it. `twin`: cosine
 * with another owner’s above 0.999. `echo`: cosine with what the round before changed above 0.99. `unrelated`: no more in common
 * with the sum of the others than chance, where most have much. `profile`: lengths of its tensors unlike the others’. `s2-wef`,
 * `wef`: see `s2-wef.ts` and `wef.ts`. Of what it says (`claims.ts`): `impossible` figures; `repeated-loss`: one of its own of an
 * earlier round to the last bit; `shared-loss`: another owner’s; `far-loss`: ten times the others’, or a tenth; `hasty`: ten times
 * as fast as the median owner.
 */
export type Sign = 'zero' | 'copy' | 'twin' | 'echo' | 'unrelated' | 'profile' | 's2-wef' | 'wef' | ClaimSign;

type ClaimSign = 'impossible' | 'repeated-loss' | 'shared-loss' | 'far-loss' | 'hasty';

/**
 * Signs that make an owner a suspect. The others are told beside them: `twin`, `shared-loss` and `profile` as hints (of two twins
 * nobody knows which is the copy), `far-loss` and `hasty` too (data and devices differ), `wef` for comparison.
 */
export const SUSPICIOUS: readonly Sign[] = [
  ...(['zero', 'copy', 'echo', 'unrelated', 's2-wef'] as const),
  ...(['impossible', 'repeated-loss'] as const),
];

export interface OwnerSigns {
  readonly signs: readonly Sign[];
  /** Cosine with what the round before changed; null where there is nothing to compare with. */
  readonly echo: number | null;
  /** γ of S2-WEF; null where nothing has moved yet. */
  readonly similarity: number | null;
  /** Deviation from the others in this round; sums to 3 over the round where the owners differ. */
  readonly deviation: number | null;
  /** The same of the frequencies of all rounds so far. */
  readonly accumulated: number | null;
}

/** What a round showed, with what the watch keeps for the next one. */
export interface WatchReport {
  /** Digest of what it keeps. */
  readonly memory: string;
  /** By owner. */
  readonly owners: Readonly<Record<string, OwnerSigns>>;
}
