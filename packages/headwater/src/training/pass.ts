/** What a pass through the network goes through: all of it, or some blocks; gradients of all that is trained, or less. */

/** Some blocks of the network instead of all of them. */
export interface PartOfNetwork {
  /** From 0. Every other block passes its input on. */
  readonly blocks: ReadonlySet<number>;
  /** The adapters of the other blocks still act, on what these pass on. */
  readonly bypass?: true;
}

export interface Pass {
  /** Tensors that stay as they are: no gradient, no optimizer state. */
  readonly frozen?: ReadonlySet<string>;
  /** What computes the loss of the data; omitted: the whole network. */
  readonly part?: PartOfNetwork | undefined;
}
