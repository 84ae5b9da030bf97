/** The trees of a run with DP-FTRL: when one begins, who may be in it, which nodes are needed. Pure; it opens no rounds. */

import { nodesClosedBy, nodesOf, type TreeRelease } from './noise-tree.ts';
import { activeOwners } from './roster.ts';
import type { RunState } from './state.ts';

/** Undefined: the run has no tree, or no round is open. */
export function treeReleaseOf({ plan, open, treeBegan }: RunState): TreeRelease | undefined {
  if (plan.privacy?.tree === undefined || open === undefined || treeBegan === undefined) return undefined;
  const leaf = open.round - treeBegan + 1;
  return { leaf, removes: nodesClosedBy(leaf).map((node) => treeBegan + node - 1) };
}

/**
 * Closed rounds whose nodes a later release may take out of the sum again: while their tree goes on. None once its last leaf is
 * released, a new tree has begun, or the run opens no further round.
 */
export function nodesStillNeeded({ plan, status, open, closed, treeBegan }: RunState): number[] {
  if (plan.privacy?.tree === undefined || treeBegan === undefined) return [];
  if (status !== 'running' || open === undefined) return [];
  return nodesOf(Math.max(0, closed.length - treeBegan + 1)).map((node) => treeBegan + node - 1);
}

/**
 * With the tree that `round` belongs to: a new one where the last is full, or too few of those who `may` be asked are left that are not
 * in it, and with the others they would be enough.
 */
export function withTree(state: RunState, round: number, may: (owner: string) => boolean): RunState {
  const { tree } = state.plan.privacy ?? {};
  if (tree === undefined) return state;
  const began = state.treeBegan;
  if (began === undefined || round - began >= tree.leaves) return { ...state, treeBegan: round };
  if (began === round) return state;
  const { quorum } = state.plan;
  const here = activeOwners(state).filter(may);
  const left = here.filter((owner) => !isInTree(state, owner)).length;
  return left < quorum && here.length >= quorum ? { ...state, treeBegan: round } : state;
}

/** Whether an owner was counted in the tree that goes on: one leaf of it is all that it may be in. */
export function isInTree(
  { roster, treeBegan, plan }: Pick<RunState, 'roster' | 'treeBegan' | 'plan'>,
  owner: string,
): boolean {
  if (plan.privacy?.tree === undefined || treeBegan === undefined) return false;
  return (roster[owner]?.lastRound ?? 0) >= treeBegan;
}
