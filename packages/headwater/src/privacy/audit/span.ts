/**
 * The span attack on the gradient of a linear layer (DAGER: Petrov et al., NeurIPS 2024, arXiv:2405.15586): rows of ∂A are sums of the
 * layer's inputs, so with few tokens every input lies in the space of the rows, and other vectors do not. Plain vectors; it knows
 * no model.
 */

/** Rows of one length that span what the rows of a matrix span, orthonormal. */
export interface RowSpan {
  readonly basis: readonly Float64Array[];
}

/** Rows shorter than this part of the longest, once the others are taken out of them, are rounding. */
const RANK_TOLERANCE = 1e-4;

/** Gram & Schmidt, the longest remainder first, each orthogonalised twice. `tolerance`: relative to the longest row. */
export function spanOfRows(rows: readonly ArrayLike<number>[], tolerance = RANK_TOLERANCE): RowSpan {
  const left = rows.map((row) => Float64Array.from(row));
  const basis: Float64Array[] = [];
  const longest = Math.max(0, ...left.map(lengthOf));
  while (left.length > 0) {
    const at = left.reduce((best, row, i) => (lengthOf(row) > lengthOf(left[best]!) ? i : best), 0);
    const [next] = left.splice(at, 1) as [Float64Array];
    for (const one of basis) subtract(next, one);
    const length = lengthOf(next);
    if (!(length > tolerance * longest)) break;
    const unit = next.map((x) => x / length);
    basis.push(unit);
    for (const row of left) subtract(row, unit);
  }
  return { basis };
}

/** ‖v − its part in the span‖ / ‖v‖: 0 inside, 1 orthogonal to it. */
export function residualOf(vector: ArrayLike<number>, { basis }: RowSpan): number {
  const rest = Float64Array.from(vector);
  const whole = lengthOf(rest);
  if (whole === 0) return 1;
  for (const one of basis) subtract(rest, one);
  return lengthOf(rest) / whole;
}

/** Candidates by residual, smallest first. */
export interface Ranked {
  readonly candidate: number;
  readonly residual: number;
}

export interface SpanFound {
  /** Of the space that was observed. */
  readonly rank: number;
  /** All candidates that lie in it, up to rounding. */
  readonly inside: readonly Ranked[];
  /** As many as wanted, nearest first. */
  readonly nearest: readonly Ranked[];
}

/** Inputs are float32, and so is the gradient. */
const INSIDE = 2e-3;

/** `rowOf`: candidate i's layer input. Nothing is inside a space that is the whole space. */
export function searchSpan(
  span: RowSpan,
  numCandidates: number,
  rowOf: (candidate: number) => ArrayLike<number>,
  wanted: number,
): SpanFound {
  const rank = span.basis.length;
  const dimension = span.basis[0]?.length ?? 0;
  if (rank === 0 || rank === dimension) return { rank, inside: [], nearest: [] };
  const ranked = Array.from({ length: numCandidates }, (_, candidate) => ({
    candidate,
    residual: residualOf(rowOf(candidate), span),
  })).sort((a, b) => a.residual - b.residual);
  return {
    rank,
    inside: ranked.filter(({ residual }) => residual < INSIDE),
    nearest: ranked.slice(0, wanted),
  };
}

function lengthOf(vector: Float64Array): number {
  let squares = 0;
  for (const x of vector) squares += x * x;
  return Math.sqrt(squares);
}

/** Takes the part along `unit` out, twice: once leaves what rounding did. */
function subtract(vector: Float64Array, unit: Float64Array): void {
  for (let time = 0; time < 2; time++) {
    let dot = 0;
    for (let i = 0; i < vector.length; i++) dot += vector[i]! * unit[i]!;
    for (let i = 0; i < vector.length; i++) vector[i]! -= dot * unit[i]!;
  }
}
