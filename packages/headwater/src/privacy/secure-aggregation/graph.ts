/**
 * Who shares keys with whom. Members stand on a ring in an order drawn from a beacon that nobody chose alone, and each is a
 * neighbour of those within half the degree (the Harary graph); small groups use the complete graph, where everybody also
 * holds a share of its own secrets. A pure function of members and beacon: each member computes its place itself.
 */

import { assert } from '../../base/errors.ts';
import { labelledHash } from './context.ts';
import { type GraphParameters, smallestGraph } from './harary-parameters.ts';
import { openMaskStream } from './mask-stream.ts';
import { MAX_SHARES } from './shamir.ts';

/** Up to here everybody is everybody's neighbour. */
export const COMPLETE_UP_TO = 32;

export interface Rates {
  readonly adversaries: number;
  readonly dropouts: number;
}

export interface Neighbourhoods {
  readonly complete: boolean;
  /** Shares that open the member's secrets. */
  threshold(member: string): number;
  /** Sorted, without the member itself. */
  neighbours(member: string): readonly string[];
  /** Who holds shares of the member's secrets, sorted. */
  holders(member: string): readonly string[];
  /** That share nothing with each other: each has a sum of its own. Sorted members; one group unless several are asked for. */
  readonly groups: readonly (readonly string[])[];
}

/** How many groups of at least `groupSize` there are of so many; undefined: all are one. */
export function numGroupsOf(count: number, groupSize: number | undefined): number {
  return groupSize === undefined ? 1 : Math.max(1, Math.floor(count / groupSize));
}

/** Degree `numMembers` − 1: the complete graph. Undefined: no graph keeps the promises with 255 shares. */
export function graphParameters(numMembers: number, rates: Rates): GraphParameters | undefined {
  const harary =
    numMembers <= COMPLETE_UP_TO
      ? undefined
      : smallestGraph({ numMembers, ...rates, server: 'semi-malicious' });
  if (harary !== undefined) return harary.degree <= MAX_SHARES ? harary : undefined;
  if (numMembers > MAX_SHARES) return undefined;
  // More than two thirds, so that two sets of them share an honest one as long as less than a third is not.
  return { degree: numMembers - 1, threshold: Math.max(2, Math.floor((2 * numMembers) / 3) + 1) };
}

/** Sizes of so many members in groups as equal as they can be: the largest, and the smallest where there is another. */
function groupSizes(numMembers: number, numGroups: number): number[] {
  const [most, least] = [Math.ceil(numMembers / numGroups), Math.floor(numMembers / numGroups)];
  return most === least ? [most] : [most, least];
}

/** Whether members in so many groups have graphs. */
export function graphExists(numMembers: number, numGroups: number, rates: Rates): boolean {
  return groupSizes(numMembers, numGroups).every((size) => graphParameters(size, rates) !== undefined);
}

/**
 * Members in groups that the beacon draws, each with a graph of its own. Undefined: none keeps the promises. Whoever is in a group
 * is protected by those in it alone.
 */
export async function groupedNeighbourhoods(
  members: readonly string[],
  numGroups: number,
  rates: Rates,
  beacon: Uint8Array,
): Promise<Neighbourhoods | undefined> {
  if (!graphExists(members.length, numGroups, rates)) return undefined;
  if (numGroups === 1) return neighbourhoods(members, graphParameters(members.length, rates)!, beacon);
  const drawn = await shuffledBy(members, labelledHash('groups', beacon));
  const groups = Array.from({ length: numGroups }, (_, g) =>
    drawn.filter((_, i) => i % numGroups === g).sort(),
  );
  const graphs = await Promise.all(
    groups.map((group) => neighbourhoods(group, graphParameters(group.length, rates)!, beacon)),
  );
  const graphOf = new Map(groups.flatMap((group, g) => group.map((member) => [member, graphs[g]!])));
  return {
    complete: graphs.every(({ complete }) => complete),
    threshold: (member) => graphOf.get(member)!.threshold(member),
    neighbours: (member) => graphOf.get(member)!.neighbours(member),
    holders: (member) => graphOf.get(member)!.holders(member),
    groups,
  };
}

/** `members`: sorted and distinct. `beacon`: 32 bytes. */
export async function neighbourhoods(
  members: readonly string[],
  { degree, threshold }: GraphParameters,
  beacon: Uint8Array,
): Promise<Neighbourhoods> {
  const complete = degree >= members.length - 1;
  const ring = complete ? [...members] : await shuffledBy(members, beacon);
  const places = new Map(ring.map((member, place) => [member, place]));
  const neighbours = (member: string): string[] => {
    const place = places.get(member);
    assert(place !== undefined, `${member} is not in the graph`);
    if (complete) return ring.filter((other) => other !== member);
    const offsets = Array.from({ length: degree / 2 }, (_, i) => i + 1);
    const around = offsets.flatMap((offset) => [place + offset, place - offset + ring.length]);
    return around.map((at) => ring[at % ring.length]!).sort();
  };
  return {
    complete,
    threshold: () => threshold,
    neighbours,
    holders: (member) => (complete ? [...members] : neighbours(member)),
    groups: [members],
  };
}

/** Fisher–Yates with words of the beacon's keystream, without modulo bias. */
async function shuffledBy(members: readonly string[], beacon: Uint8Array): Promise<string[]> {
  const stream = await openMaskStream(labelledHash('graph', beacon));
  const ring = [...members];
  let words = new Uint32Array(0);
  let at = 0;
  let made = 0;
  const word = async (): Promise<number> => {
    if (at === words.length) {
      words = new Uint32Array(await stream.words(made, 1024));
      made += words.length;
      at = 0;
    }
    return words[at++]!;
  };
  for (let i = ring.length - 1; i > 0; i--) {
    const limit = 2 ** 32 - (2 ** 32 % (i + 1));
    let drawn = await word();
    while (drawn >= limit) drawn = await word();
    const j = drawn % (i + 1);
    [ring[i], ring[j]] = [ring[j]!, ring[i]!];
  }
  return ring;
}
