/** F1 of classes, each counting the same (scikit-learn's `f1_score(average='macro')`). */

export interface ClassAnswer {
  readonly target: number;
  /** −1: none of the classes; it counts as a class that is never right, as an unknown label does in scikit-learn. */
  readonly predicted: number;
}

/**
 * Mean over the classes that occur, as truth or as answer, of F1 of class c = 2 · (truth and answer are c) / (truths that are
 * c + answers that are c).
 */
export function macroF1(answers: readonly ClassAnswer[]): number {
  const counts = new Map<number, { both: number; either: number }>();
  const count = (id: number) => {
    const known = counts.get(id) ?? { both: 0, either: 0 };
    counts.set(id, known);
    return known;
  };
  for (const { target, predicted } of answers) {
    count(target).either++;
    count(predicted).either++;
    if (target === predicted) count(target).both++;
  }
  const scores = [...counts.values()].map(({ both, either }) => (2 * both) / either);
  return scores.reduce((sum, score) => sum + score, 0) / scores.length;
}
