/** A policy as its owner writes it: YAML whose mistakes are told with their lines. Browsers, which have a form, do without. */

import { LineCounter } from 'yaml';
import { HeadwaterError } from '../base/errors.ts';
import { parseAt, pathText } from '../recipe/issues.ts';
import { lineText, offsetOf } from '../recipe/positions.ts';
import { readYaml } from '../recipe/yaml.ts';
import { type PolicyRules, policyRules } from './policy.ts';

/** Throws POLICY_INVALID with every mistake and its line. */
export function parsePolicy(text: string, file: string): PolicyRules {
  const lines = new LineCounter();
  const { document, mistakes } = readYaml(text, lines);
  if (mistakes.length > 0)
    throw invalid(
      file,
      mistakes.map(({ offset, message }) => `${lineText(file, offset, lines)}  ${message}`),
    );
  const { value, issues } = parseAt(policyRules, document.toJS() ?? {});
  if (value !== undefined) return value;
  const located = issues.map(({ path, message, atKey }) => {
    const offset = offsetOf(document, path, atKey === true) ?? 0;
    const what = path.length === 0 ? message : `${pathText(path)}: ${message}`;
    return { offset, line: `${lineText(file, offset, lines)}  ${what}` };
  });
  located.sort((a, b) => a.offset - b.offset);
  throw invalid(
    file,
    located.map(({ line }) => line),
  );
}

function invalid(file: string, mistakes: readonly string[]): HeadwaterError {
  return new HeadwaterError(
    'POLICY_INVALID',
    `the policy has mistakes\n${mistakes.map((line) => `  ${line}`).join('\n')}`,
    { where: file, hint: 'Every key is explained in docs/joining.md.' },
  );
}
