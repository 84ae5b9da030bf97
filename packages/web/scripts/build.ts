/** `npm run build:web`: builds the pages and puts them where the coordinator finds them, packed or not. */

import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'vite';

const web = join(import.meta.dirname, '..');
const served = join(web, '../headwater/assets/web');

await build({ configFile: join(web, 'vite.config.ts'), logLevel: 'warn' });
rmSync(served, { recursive: true, force: true });
cpSync(join(web, 'dist'), served, { recursive: true });
