/** Where two sequences begin and cease to differ: the one trick behind every supervision mask. */

export function commonPrefixLength<T>(a: ArrayLike<T>, b: ArrayLike<T>): number {
  const limit = Math.min(a.length, b.length);
  let length = 0;
  while (length < limit && a[length] === b[length]) length++;
  return length;
}

/** Does not run into the common prefix: in `aXa` and `aa` the prefix is 1 and the suffix 1. */
export function commonSuffixLength<T>(a: ArrayLike<T>, b: ArrayLike<T>): number {
  const limit = Math.min(a.length, b.length) - commonPrefixLength(a, b);
  let length = 0;
  while (length < limit && a[a.length - 1 - length] === b[b.length - 1 - length]) length++;
  return length;
}
