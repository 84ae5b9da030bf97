/**
 * Stop strings in a text that grows: what may still become one is held back, what came before one is passed on. It does
 * not matter where tokens begin and end. Pure.
 */

export interface StopScanner {
  /** What of the text so far is certain and new; `stopped` once a stop string is complete, which is never passed on. */
  push(text: string): { readonly text: string; readonly stopped: boolean };
  /** What was held back because it began like a stop string. */
  end(): string;
}

/** `stops`: non-empty strings. */
export function stopScanner(stops: readonly string[]): StopScanner {
  let held = '';
  return {
    push(text) {
      held += text;
      const found = stops.map((stop) => held.indexOf(stop)).filter((at) => at >= 0);
      const stopped = found.length > 0;
      const certain = stopped ? Math.min(...found) : held.length - longestBeginning(held, stops);
      const passed = held.slice(0, certain);
      held = stopped ? '' : held.slice(certain);
      return { text: passed, stopped };
    },
    end() {
      const rest = held;
      held = '';
      return rest;
    },
  };
}

/** Length of the longest end of the text with which a stop string could begin. */
function longestBeginning(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops)
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--)
      if (text.endsWith(stop.slice(0, length))) longest = length;
  return longest;
}
