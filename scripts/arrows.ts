/**
 * The rules of the house as pure functions over source files: rooms import downward only, files have no import cycles,
 * rooms that browsers use touch nothing of Node. `check-arrows.ts` runs them.
 */

import type { Import, SourceFile } from './imports.ts';

/** From the roof to the ground; rooms on one line are on one floor. */
export const FLOORS: readonly (readonly string[])[] = [
  ['index.ts'],
  ['cli'],
  ['experiments'],
  ['coordinator', 'client', 'simulation', 'serving', 'helper'],
  ['report'],
  ['runs'],
  ['jobs', 'exports'],
  ['recipe'],
  ['federation'],
  ['storage'],
  ['training'],
  ['data', 'models', 'tuning'],
  ['runtime'],
  ['graph'],
  ['privacy'],
  ['base'],
];

/** Neighbours on one floor that may see each other, in this direction only. */
const ALLOWED_NEIGHBOURS = new Set(['data → models']);

/** Rooms that run in Node only; elsewhere Node belongs into files called `*-node.ts`. */
const NODE_ROOMS = new Set([
  'storage',
  'coordinator',
  'helper',
  'simulation',
  'experiments',
  'report',
  'runs',
  'jobs',
  'exports',
  'serving',
  'cli',
  'index.ts',
]);

export const NODE_PACKAGES = /^(node:|onnxruntime-node$|commander$|cli-|picocolors$)/;

export interface Breach {
  readonly where: string;
  readonly what: string;
}

export function checkHouse(files: readonly SourceFile[]): Breach[] {
  const code = files.filter(({ path }) => !path.endsWith('.test.ts'));
  return [...code.flatMap(checkRooms), ...code.flatMap(checkNode), ...checkCycles(code)];
}

export function roomOf(path: string): string {
  return path.split('/', 1)[0] ?? path;
}

function floorOf(room: string): number {
  return FLOORS.findIndex((floor) => floor.includes(room));
}

function checkRooms(file: SourceFile): Breach[] {
  const from = roomOf(file.path);
  if (floorOf(from) < 0)
    return [{ where: file.path, what: `the room "${from}" has no floor in scripts/arrows.ts` }];
  return file.imports.flatMap((item) => {
    const to = item.target === undefined ? from : roomOf(item.target);
    if (to === from || floorOf(from) < floorOf(to) || ALLOWED_NEIGHBOURS.has(`${from} → ${to}`)) return [];
    return [
      {
        where: at(file, item),
        what: `${from} must not import ${to} (${item.specifier}): arrows go downward`,
      },
    ];
  });
}

function checkNode(file: SourceFile): Breach[] {
  if (NODE_ROOMS.has(roomOf(file.path)) || isNodeFile(file.path)) return [];
  return file.imports.flatMap((item) => {
    if (NODE_PACKAGES.test(item.specifier))
      return [
        {
          where: at(file, item),
          what: `${item.specifier} in a file that browsers load; put it into a *-node.ts file`,
        },
      ];
    if (item.target !== undefined && isNodeFile(item.target) && !item.typeOnly)
      return [
        {
          where: at(file, item),
          what: `imports ${item.specifier}, which needs Node, in a file that browsers load`,
        },
      ];
    return [];
  });
}

export function isNodeFile(path: string): boolean {
  return path.endsWith('-node.ts');
}

export function at(file: SourceFile, item: Import): string {
  return `${file.path}:${item.line}`;
}

/** Depth-first search; each cycle is reported once, by the edge that closes it. */
function checkCycles(files: readonly SourceFile[]): Breach[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const done = new Set<string>();
  const breaches: Breach[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      breaches.push({ where: path, what: `import cycle: ${[...trail.slice(start), path].join(' → ')}` });
      return;
    }
    if (done.has(path)) return;
    for (const item of byPath.get(path)?.imports ?? [])
      if (item.target !== undefined) visit(item.target, [...trail, path]);
    done.add(path);
  };
  for (const path of byPath.keys()) visit(path, []);
  return breaches;
}
