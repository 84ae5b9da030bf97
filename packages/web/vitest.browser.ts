/** `npm run test:browser`: tests that drive Chromium. One file at a time: each may use all cores. */

import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['packages/web/test/**/*.browser.ts'],
    globalSetup: [join(import.meta.dirname, 'test/support/build-pages.ts')],
    testTimeout: 180_000,
    hookTimeout: 60_000,
    fileParallelism: false,
    pool: 'forks',
  },
});
