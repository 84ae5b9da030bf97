/**
 * S2-WEF (Nakamura 2026, arXiv:2604.04611): a round’s patterns beside the pattern that somebody makes who echoes the global
 * model, mutual deviation, clusters in the plane of the two scores, and a vote. Round by round, so that who turns free-rider
 * later is seen then. With one observation a round (see `wef.ts`) the paper’s number of iterations E is 1.
 */

import { median } from '../../base/median.ts';
import { cutInTwo, distance, type Point } from './clusters.ts';
import { deviationsOf, frequencyOf, product, robustScores } from './wef.ts';

export interface S2Scores {
  /** γ_i = 1000 · cos(F_i, F_g) / ‖F_i − F_g‖²; undefined where nothing has moved yet. */
  readonly similarity: readonly number[] | undefined;
  readonly deviation: readonly number[];
  readonly flagged: readonly boolean[];
}

/** Times the median γ from which an update resembles an echo. */
const ALIKE = 1.5;
const SILHOUETTE = 0.4;
const JUMP = 0.9;

/** `moved`: what the round before changed in the same elements; undefined in the first round. */
export function s2Wef(patterns: readonly Float64Array[], moved: ArrayLike<number> | undefined): S2Scores {
  const simulated = moved === undefined ? undefined : frequencyOf(moved);
  const similarity = simulated && patterns.map((pattern) => similarityTo(pattern, simulated));
  const deviation = deviationsOf(patterns);
  const labels = {
    alike: similarity === undefined ? patterns.map(() => false) : alikeLabels(similarity),
    deviant: deviantLabels(deviation),
  };
  const gammas = similarity === undefined ? patterns.map(() => 0) : robustScores(similarity);
  const deviations = robustScores(deviation);
  const points = patterns.map((_, i): Point => [gammas[i]!, deviations[i]!]);
  const suspects = new Set(suspectedCluster(points));
  const share = (marks: readonly boolean[]) => [...suspects].filter((i) => marks[i]).length / suspects.size;
  // Without a simulated pattern there is one score only, and no plane.
  const guilty =
    simulated !== undefined &&
    suspects.size > 0 &&
    (share(labels.alike) >= 0.5 || share(labels.deviant) >= 0.5);
  return { similarity, deviation, flagged: patterns.map((_, i) => guilty && suspects.has(i)) };
}

function similarityTo(pattern: Float64Array, simulated: Float64Array): number {
  const inner = product(pattern, simulated);
  const [a, b] = [product(pattern, pattern), product(simulated, simulated)];
  const cosine = inner / (Math.sqrt(a * b) || 1);
  return (1000 * cosine) / (Math.max(0, a + b - 2 * inner) || 0.001);
}

function alikeLabels(similarity: readonly number[]): boolean[] {
  const middle = median(similarity);
  return similarity.map((gamma) => gamma > 0 && gamma >= ALIKE * middle);
}

/** Within 0.5 / N of the largest deviation. */
function deviantLabels(deviation: readonly number[]): boolean[] {
  const largest = Math.max(...deviation);
  return deviation.map((dev) => dev > 0 && dev >= largest - 0.5 / deviation.length);
}

/** Of a clear cut the cluster whose centre is farther from the origin, which is where most owners are; never the larger one. */
function suspectedCluster(points: readonly Point[]): readonly number[] {
  const cut = cutInTwo(points);
  if (cut === undefined || cut.silhouette < SILHOUETTE || cut.jump < JUMP) return [];
  const [a, b] = cut.clusters;
  const away = (members: readonly number[]) =>
    distance([0, 0], [mean(members.map((i) => points[i]![0])), mean(members.map((i) => points[i]![1]))]);
  const far = away(a) > away(b) ? a : b;
  return far.length > points.length / 2 ? [] : far;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
