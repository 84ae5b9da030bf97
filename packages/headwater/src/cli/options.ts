/** Options that several commands share, and how their texts become values. */

import { InvalidArgumentError, Option } from 'commander';
import { DEVICES } from '../runtime/executor.ts';

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError('expected a whole number > 0.');
  return value;
}

export function nonNegative(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError('expected a number ≥ 0.');
  return value;
}

/** For options that may be given several times. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

/** `a,b,c`. */
export function commaSeparated(text: string): string[] {
  return text.split(',').map((item) => item.trim());
}

/** For stop strings, which may be given several times; \n and \t stand for a line end and a tab. */
export function stopString(text: string, before: readonly string[] = []): string[] {
  const stop = text.replaceAll('\\n', '\n').replaceAll('\\t', '\t');
  if (stop === '') throw new InvalidArgumentError('expected some text.');
  return [...before, stop];
}

export function deviceOption(): Option {
  return new Option('--device <device>', 'where to compute; `headwater doctor` says what works here').choices(
    DEVICES,
  );
}

/** For commands that generate. */
export function prepackOption(): Option {
  return new Option('--no-prepack', 'leave frozen weights in the mapped file: slower, needs less memory');
}

export function codeExecutionOption(): Option {
  return new Option(
    '--allow-code-execution',
    'run programs that the model wrote even where this system cannot lock them in',
  );
}

export function jsonOption(): Option {
  return new Option('--json', 'print JSON for programs instead of text for people');
}

export function portNumber(text: string): number {
  const value = Number(text);
  if (!/^\d{1,5}$/.test(text) || value > 65_535)
    throw new InvalidArgumentError('expected a port, 0 to 65535.');
  return value;
}
