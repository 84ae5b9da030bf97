/** Builds what the tests open, once before all of them: the pages, and the pages made for tests. */

import { join } from 'node:path';
import { build } from 'vite';

const configFile = join(import.meta.dirname, '../../vite.config.ts');

export default async function buildPages(): Promise<void> {
  await build({ configFile, logLevel: 'warn' });
  await build({ configFile, logLevel: 'warn', mode: 'test' });
}
