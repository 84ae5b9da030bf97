import fc from 'fast-check';
import { expect, it } from 'vitest';
import { stopScanner } from './stop-scanner.ts';

/** Pushes the pieces until one stops. */
function scan(pieces: readonly string[], stops: readonly string[]) {
  const scanner = stopScanner(stops);
  let seen = '';
  for (const piece of pieces) {
    const { text, stopped } = scanner.push(piece);
    seen += text;
    if (stopped) return { text: seen, stopped };
  }
  return { text: seen + scanner.end(), stopped: false };
}

it('holds back what may become a stop string and passes on what did not', () => {
  const scanner = stopScanner(['\n\nUser:', 'END']);
  expect(scanner.push('Hi\n')).toEqual({ text: 'Hi', stopped: false });
  expect(scanner.push('\nUs')).toEqual({ text: '', stopped: false });
  expect(scanner.push('ually E')).toEqual({ text: '\n\nUsually ', stopped: false });
  expect(scanner.push('N')).toEqual({ text: '', stopped: false });
  expect(scanner.push('D more')).toEqual({ text: '', stopped: true });
});

it('cuts where the whole text would be cut, however it is divided', () => {
  const letters = fc.constantFrom('a', 'b', 'c', 'é', '🙂');
  const text = fc.array(letters, { maxLength: 30 });
  const stop = fc.array(letters, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(
      fc.array(
        text.map((parts) => parts.join('')),
        { maxLength: 8 },
      ),
      stop,
      (pieces, one) => {
        const whole = pieces.join('');
        const at = whole.indexOf(one);
        expect(scan(pieces, [one])).toEqual({ text: at < 0 ? whole : whole.slice(0, at), stopped: at >= 0 });
      },
    ),
    { seed: 4, numRuns: 500 },
  );
});

it('stops at whichever of several is complete first', () => {
  expect(scan(['ab', 'cd'], ['bcd', 'abc'])).toEqual({ text: '', stopped: true });
  expect(scan(['xab', 'y'], ['abc'])).toEqual({ text: 'xaby', stopped: false });
  expect(scan(['any', 'thing'], [])).toEqual({ text: 'anything', stopped: false });
});
