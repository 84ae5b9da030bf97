/**
 * YAML from people and from strangers as plain data: no aliases (which can multiply or contain themselves), no tags (which
 * can ask for code), bounded size and depth. All mistakes are reported with their place. It knows no recipe.
 */

import { type Document, isCollection, type LineCounter, parseDocument, visit } from 'yaml';

export interface YamlMistake {
  /** In UTF-16 units from the start of the text. */
  readonly offset: number;
  readonly message: string;
}

const MAX_CHARS = 1024 * 1024;
const MAX_DEPTH = 64;

/** The document may be turned into data (`toJS`) only when there are no mistakes. */
export function readYaml(
  text: string,
  lineCounter?: LineCounter,
): { readonly document: Document; readonly mistakes: readonly YamlMistake[] } {
  if (text.length > MAX_CHARS)
    return failed(`it has ${text.length} characters, at most ${MAX_CHARS} are taken`);
  try {
    const options = {
      prettyErrors: false,
      merge: false,
      ...(lineCounter === undefined ? {} : { lineCounter }),
    };
    const document = parseDocument(text, options);
    const problems = [...document.errors, ...document.warnings];
    const syntax = problems.map(({ pos, message }) => ({ offset: pos[0], message: firstLine(message) }));
    return { document, mistakes: syntax.length > 0 ? syntax : forbiddenNodes(document) };
  } catch (error) {
    // The parser is recursive.
    if (!(error instanceof RangeError)) throw error;
    return failed(`it is nested more than ${MAX_DEPTH} levels deep`);
  }
}

function failed(message: string): ReturnType<typeof readYaml> {
  return { document: parseDocument(''), mistakes: [{ offset: 0, message }] };
}

function forbiddenNodes(document: Document): YamlMistake[] {
  const mistakes: YamlMistake[] = [];
  visit(document, {
    Alias(_, node) {
      const message = `*${node.source} refers to another place; write the value out`;
      mistakes.push({ offset: node.range?.[0] ?? 0, message });
    },
    Pair(_, { key }) {
      if (isCollection(key))
        mistakes.push({ offset: key.range?.[0] ?? 0, message: 'a key must be a word, not a list or a map' });
    },
    Collection(_, node, path) {
      if (path.filter(isCollection).length < MAX_DEPTH) return undefined;
      mistakes.push({ offset: node.range?.[0] ?? 0, message: `nested more than ${MAX_DEPTH} levels deep` });
      return visit.BREAK;
    },
  });
  return mistakes;
}

export function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
