/** Points in the plane in two clusters, or in one: Ward’s hierarchical clustering and what speaks for a cut. It knows no owners. */

export type Point = readonly [number, number];

export interface Cut {
  /** Indices of the points. */
  readonly clusters: readonly [readonly number[], readonly number[]];
  /** Mean silhouette of all points, in [−1, 1]. */
  readonly silhouette: number;
  /** (h_last − h_before) / h_before of the merge heights; infinite where the one before is 0. */
  readonly jump: number;
}

interface Cluster {
  readonly members: readonly number[];
  readonly centre: Point;
}

/** The last merge undone. Undefined of fewer than three points, or of points that are all the same. */
export function cutInTwo(points: readonly Point[]): Cut | undefined {
  if (points.length < 3) return undefined;
  let clusters: Cluster[] = points.map((centre, i) => ({ members: [i], centre }));
  let before = 0;
  while (clusters.length > 2) {
    const { i, j, height } = nearest(clusters);
    const joined = merged(clusters[i]!, clusters[j]!);
    clusters = [...clusters.filter((_, k) => k !== i && k !== j), joined];
    before = Math.max(before, height);
  }
  const [a, b] = clusters as [Cluster, Cluster];
  const last = wardHeight(a, b);
  if (!(last > 0)) return undefined;
  const cut = [a.members, b.members] as const;
  const jump = before > 0 ? (last - before) / before : Number.POSITIVE_INFINITY;
  return { clusters: cut, silhouette: silhouetteOf(points, cut), jump };
}

/** √(2 |a| |b| / (|a| + |b|)) · ‖c_a − c_b‖ */
function wardHeight(a: Cluster, b: Cluster): number {
  const [m, n] = [a.members.length, b.members.length];
  return Math.sqrt((2 * m * n) / (m + n)) * distance(a.centre, b.centre);
}

function nearest(clusters: readonly Cluster[]): { i: number; j: number; height: number } {
  let best = { i: 0, j: 1, height: Number.POSITIVE_INFINITY };
  for (let i = 0; i < clusters.length; i++)
    for (let j = i + 1; j < clusters.length; j++) {
      const height = wardHeight(clusters[i]!, clusters[j]!);
      if (height < best.height) best = { i, j, height };
    }
  return best;
}

function merged(a: Cluster, b: Cluster): Cluster {
  const [m, n] = [a.members.length, b.members.length];
  const mean = (k: 0 | 1) => (m * a.centre[k] + n * b.centre[k]) / (m + n);
  return { members: [...a.members, ...b.members], centre: [mean(0), mean(1)] };
}

/** Mean of (b − a) / max(a, b): a to the own cluster, b to the other; 0 of a point alone in its cluster. */
function silhouetteOf(points: readonly Point[], [left, right]: Cut['clusters']): number {
  const of = (own: readonly number[], other: readonly number[]) =>
    own.map((i) => {
      if (own.length === 1) return 0;
      const within = own.reduce((sum, j) => sum + distance(points[i]!, points[j]!), 0) / (own.length - 1);
      const across = other.reduce((sum, j) => sum + distance(points[i]!, points[j]!), 0) / other.length;
      return (across - within) / (Math.max(within, across) || 1);
    });
  const all = [...of(left, right), ...of(right, left)];
  return all.reduce((sum, value) => sum + value, 0) / all.length;
}

export function distance(a: Point, b: Point): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}
