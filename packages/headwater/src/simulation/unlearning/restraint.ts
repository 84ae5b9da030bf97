/**
 * How far an approximate unlearning may go: until what is to be forgotten looks like what nobody trained on (more is no forgetting
 * but damage), and no farther than the others’ quality allows. Pure; it knows no models.
 */

/** Nats per target. */
export interface Losses {
  /** On what is to be forgotten. */
  readonly forget: number;
  /** On validation rows of the others; null: there are none. */
  readonly kept: number | null;
}

export interface Restraint {
  /** Of `forget`. */
  readonly target: number;
  /** Of `kept`; null: nothing is known of the others. */
  readonly limit: number | null;
}

/** Near enough to the target. */
const SLACK = 0.02;

/** `on`: it has not forgotten yet. `too-far`: it has forgotten more than that, or the others have lost too much. */
export function judged({ forget, kept }: Losses, { target, limit }: Restraint): 'on' | 'enough' | 'too-far' {
  // Also of what is no number.
  if (!(forget <= target * (1 + SLACK))) return 'too-far';
  if (limit !== null && kept !== null && !(kept <= limit)) return 'too-far';
  return forget >= target * (1 - SLACK) ? 'enough' : 'on';
}

/** `tolerance`: by how much, relative to `before`, the loss of the others may grow. */
export function restraintOf(target: number, before: Losses, tolerance: number): Restraint {
  return { target, limit: before.kept === null ? null : (1 + tolerance) * before.kept };
}
