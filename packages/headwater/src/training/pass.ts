/** What a pass through the network goes through: all of it or some blocks, gradients of all that is trained or of less. */

/** Some blocks of the network instead of all of them. */
export interface PartOfNetwork {
  /** From 0. Such a block passes its input on. */
  readonly skipped: ReadonlySet<number>;
  /** This block and all behind it are skipped too. */
  readonly skippedFrom?: number;
  /** The adapters of skipped blocks still act, on what these pass on. */
  readonly bypass?: true;
}

export function isSkipped(block: number, { skipped, skippedFrom = Infinity }: PartOfNetwork): boolean {
  return block >= skippedFrom || skipped.has(block);
}

/** For labels: equal parts have equal words. */
export function describePart({ skipped, skippedFrom, bypass }: PartOfNetwork): string {
  const blocks = [...skipped].sort((a, b) => a - b).map(String);
  const rest = skippedFrom === undefined ? [] : [`all from ${skippedFrom} on`];
  return ` without blocks ${[...blocks, ...rest].join(', ')}${bypass ? ', but with their adapters' : ''}`;
}

export interface Pass {
  /** Tensors that stay as they are: no gradient, no optimizer state. */
  readonly frozen?: ReadonlySet<string>;
  /** What computes the loss of the data; omitted: the whole network. */
  readonly part?: PartOfNetwork | undefined;
}
