/**
 * `general.name` is more than a label: llama.cpp strips the space behind special tokens of models that are called Phi-3, and
 * refuses to load one that lacks the tokens it expects there. The name must therefore say what the tokenizer does.
 */

import type { VocabularyTable } from './vocabulary.ts';

const PHI3 = /phi-?3/i;
/** Special tokens that llama.cpp leaves unstripped; a model of that name must have them. */
const UNSTRIPPED = ['<unk>', '<s>', '<|endoftext|>'];

export function loadableName(name: string, ggufId: string, table: VocabularyTable): string {
  const strips = ggufId === 'phi3' && stripsAsPhi3(table);
  if (strips && !PHI3.test(name)) return `${name} (Phi-3)`;
  return strips ? name : name.replace(PHI3, 'phi 3');
}

function stripsAsPhi3({ addedTokens }: VocabularyTable): boolean {
  const byContent = new Map(addedTokens.map((token) => [token.content, token]));
  const others = addedTokens.filter(({ content, special }) => special && !UNSTRIPPED.includes(content));
  return (
    UNSTRIPPED.every((content) => byContent.get(content)?.rstrip === false) &&
    others.some(({ rstrip }) => rstrip)
  );
}
