/**
 * `npm run build:web`: builds the pages and puts them where the coordinator finds them, packed or not, beside what browsers
 * read compressed.
 */

import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build } from 'vite';

const web = join(import.meta.dirname, '..');
const served = join(web, '../headwater/assets/web');

await build({ configFile: join(web, 'vite.config.ts'), logLevel: 'warn' });
rmSync(served, { recursive: true, force: true });
cpSync(join(web, 'dist'), served, { recursive: true });

for (const entry of readdirSync(served, { recursive: true, withFileTypes: true }))
  if (/\.(m?js|css|html|svg|wasm)$/.test(entry.name)) compress(join(entry.parentPath, entry.name));

/** Large files with less effort: the last per cent would cost minutes. What does not get smaller stays alone. */
function compress(file: string): void {
  const bytes = readFileSync(file);
  const large = bytes.byteLength > 2 ** 20;
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: large ? 9 : 11,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.byteLength,
  };
  const brotli = brotliCompressSync(bytes, { params });
  if (brotli.byteLength < 0.95 * bytes.byteLength) writeFileSync(`${file}.br`, brotli);
  if (file.endsWith('.wasm')) {
    // Every browser that has WebAssembly reads Brotli; the coordinator unpacks it for whoever does not.
    rmSync(file);
    return;
  }
  const gzip = gzipSync(bytes, { level: 9 });
  if (gzip.byteLength < 0.95 * bytes.byteLength) writeFileSync(`${file}.gz`, gzip);
}
