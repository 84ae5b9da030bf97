/** Acts one at a time, in the order in which they were asked for. It does not know what they do; one that fails holds up nobody. */

export type InTurn = <T>(act: () => Promise<T>) => Promise<T>;

export function turnstile(): InTurn {
  let last: Promise<unknown> = Promise.resolve();
  return (act) => {
    const turn = last.then(act, act);
    last = turn;
    return turn;
  };
}
