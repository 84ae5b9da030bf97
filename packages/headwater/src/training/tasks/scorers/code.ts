/** What of a written text is the program, and when a program counts as right. It runs nothing. */

import type { Language, ProgramRun } from '../program.ts';

/** Where a continued Python function is over (Chen et al. 2021, section 2.2 and their published stop sequences). */
const PYTHON_ENDS = ['\nclass', '\ndef', '\n#', '\nif', '\nprint'];

/** The rest of a function whose beginning was the prompt; what follows it is cut off. */
export function continuation(language: Language, text: string): string {
  return language === 'python' ? beforeFirst(text, PYTHON_ENDS) : untilClosed(text);
}

/** The first fenced block of a chat's answer; the whole text where there is none. */
export function codeBlock(text: string): string {
  return /```[^\n]*\n([\s\S]*?)(?:```|$)/.exec(text)?.[1] ?? text;
}

/**
 * HumanEval-X (Zheng et al. 2023, CodeGeeX): JavaScript passes when it writes nothing at all, since console.assert writes a
 * line and goes on; Python when it ends without an exception (Chen et al. 2021).
 */
export function passes(language: Language, { outcome, exitCode, stdout, stderr }: ProgramRun): boolean {
  if (outcome !== 'exited' || exitCode !== 0) return false;
  return language === 'python' || (stdout === '' && stderr === '');
}

function beforeFirst(text: string, ends: readonly string[]): string {
  const places = ends.map((end) => text.indexOf(end)).filter((at) => at >= 0);
  return places.length === 0 ? text : text.slice(0, Math.min(...places));
}

/** Up to the brace that closes the function of the prompt; without one, up to the last closing brace. */
function untilClosed(text: string): string {
  let open = 1;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '{') open++;
    else if (text[i] === '}') open--;
    if (open === 0) return text.slice(0, i + 1);
  }
  const last = text.lastIndexOf('}');
  return last < 0 ? text : text.slice(0, last + 1);
}
