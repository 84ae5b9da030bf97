/**
 * The rules of packages/web: its parts import downward only, never Node, and of packages/headwater only rooms that browsers
 * may use. What they reach there, through whatever files, touches nothing of Node.
 */

import { at, type Breach, isNodeFile, NODE_PACKAGES, roomOf } from './arrows.ts';
import type { Import, SourceFile } from './imports.ts';

/** From the roof to the ground. Client and dashboard are two programs: neither sees the other, or the other's engine. */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  client: ['engine', 'shared'],
  dashboard: ['shared'],
  engine: ['shared'],
  shared: [],
};

/** Rooms of packages/headwater/src; of those that need Node elsewhere, the files that do not. */
const BROWSER_ROOMS: ReadonlySet<string> = new Set([
  ...['base', 'privacy', 'graph', 'runtime', 'models', 'data', 'tuning', 'training'],
  ...['federation', 'recipe', 'jobs', 'exports', 'client'],
]);

const ALIAS = '@headwater/';

export function checkWeb(pages: readonly SourceFile[], house: readonly SourceFile[]): Breach[] {
  const houseByPath = new Map(house.map((file) => [file.path, file]));
  const reached = new Map<string, Breach[]>();
  return pages
    .filter(({ path }) => !/\.test\.tsx?$/.test(path))
    .flatMap((file) => file.imports.flatMap((item) => checkImport(file, item, houseByPath, reached)));
}

function checkImport(
  file: SourceFile,
  item: Import,
  house: ReadonlyMap<string, SourceFile>,
  reached: Map<string, Breach[]>,
): Breach[] {
  const where = at(file, item);
  if (NODE_PACKAGES.test(item.specifier)) return [{ where, what: `${item.specifier} in a page` }];
  if (item.target !== undefined) return checkPart(file, item, item.target);
  if (!item.specifier.startsWith(ALIAS)) return [];
  const path = item.specifier.slice(ALIAS.length);
  const room = roomOf(path);
  // Types are gone when the pages are built.
  if (item.typeOnly) return [];
  if (!BROWSER_ROOMS.has(room)) return [{ where, what: `the room "${room}" is not for browsers (${path})` }];
  return nodeBehind(path, house, reached).map(({ where: culprit, what }) => ({
    where,
    what: `${path} reaches ${culprit}, which ${what}`,
  }));
}

function checkPart(file: SourceFile, item: Import, target: string): Breach[] {
  const [from, to] = [roomOf(file.path), roomOf(target)];
  if (from === to || PARTS[from]?.includes(to)) return [];
  return [
    { where: at(file, item), what: `${from} must not import ${to} (${item.specifier}): arrows go downward` },
  ];
}

/** Files below `path`, itself included, that need Node. */
function nodeBehind(
  path: string,
  house: ReadonlyMap<string, SourceFile>,
  reached: Map<string, Breach[]>,
): Breach[] {
  const known = reached.get(path);
  if (known !== undefined) return known;
  const found: Breach[] = [];
  reached.set(path, found);
  const file = house.get(path);
  if (file === undefined) found.push({ where: path, what: 'is not there' });
  if (isNodeFile(path)) found.push({ where: path, what: 'is for Node by its name' });
  for (const item of file?.imports ?? []) {
    if (item.typeOnly) continue;
    if (NODE_PACKAGES.test(item.specifier))
      found.push({ where: `${path}:${item.line}`, what: `imports ${item.specifier}` });
    if (item.target?.endsWith('.ts')) found.push(...nodeBehind(item.target, house, reached));
  }
  return found;
}
