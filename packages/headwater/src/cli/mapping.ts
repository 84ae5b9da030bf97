/** `--map question=frage,answer={first} {second}` → which of the owner's columns, or template over them, is meant. */

import { HeadwaterError } from '../base/errors.ts';

/** Several in one text are parted by commas before the next `name=`; templates may hold commas. Throws OPTION_INVALID. */
export function parseMapping(texts: readonly string[]): ReadonlyMap<string, string> {
  const mapping = new Map<string, string>();
  for (const part of texts.flatMap((text) => text.split(/,(?=[^={}]+=)/))) {
    const at = part.indexOf('=');
    const [column, source] = [part.slice(0, at).trim(), part.slice(at + 1).trim()];
    if (at < 0 || column === '' || source === '')
      throw new HeadwaterError('OPTION_INVALID', `--map: expected column=yours, got "${part}"`, {
        hint: 'For example --map prompt=question,completion=answer, or --map "prompt={title}: {body}".',
      });
    if (mapping.has(column))
      throw new HeadwaterError('OPTION_INVALID', `--map: the column "${column}" is mapped twice`);
    mapping.set(column, source);
  }
  return mapping;
}
