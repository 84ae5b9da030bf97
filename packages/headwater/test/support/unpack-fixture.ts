/** Copies a fixture folder to a temporary one, decompressing `*.gz`: for fixtures too large to keep plain. */

import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

export async function unpacked(fixture: string): Promise<string> {
  const source = join(import.meta.dirname, '../fixtures', fixture);
  const target = await mkdtemp(join(tmpdir(), 'headwater-fixture-'));
  for (const name of await readdir(source)) {
    const bytes = await readFile(join(source, name));
    const isPacked = name.endsWith('.gz');
    await writeFile(join(target, name.replace(/\.gz$/, '')), isPacked ? gunzipSync(bytes) : bytes);
  }
  return target;
}
