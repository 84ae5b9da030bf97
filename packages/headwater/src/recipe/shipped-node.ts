/** The recipes that come with Headwater: where they lie, what they are called, their text for use from any folder. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isScalar, parse, parseDocument, visit } from 'yaml';

const recipesFolder = fileURLToPath(new URL('../../recipes', import.meta.url));
const experimentsFolder = join(recipesFolder, 'experiments');

export interface ShippedFile {
  readonly name: string;
  readonly file: string;
  readonly description: string;
}

export function shippedRecipes(): ShippedFile[] {
  return filesIn(recipesFolder);
}

export function shippedExperiments(): ShippedFile[] {
  return filesIn(experimentsFolder);
}

function filesIn(folder: string): ShippedFile[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .map((name) => {
      const file = join(folder, name);
      const { description = '' } = parse(readFileSync(file, 'utf8')) as { description?: string };
      return { name: name.slice(0, -'.yaml'.length), file, description };
    });
}

/** With its comments; paths beside the recipe are written out, so that they are found from anywhere. */
export function shippedText({ file }: ShippedFile): string {
  const document = parseDocument(readFileSync(file, 'utf8'));
  visit(document, {
    Scalar(key, node) {
      if (
        key === 'key' ||
        !isScalar(node) ||
        typeof node.value !== 'string' ||
        !/^\.{1,2}\//.test(node.value)
      )
        return;
      const path = resolve(dirname(file), node.value);
      if (existsSync(path)) node.value = path;
    },
  });
  return document.toString({ lineWidth: 110 });
}
