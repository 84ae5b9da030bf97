import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// Worker threads and commands that tests start load the sources again, each for itself: what Node made of them is kept.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, 'node_modules/.cache/compiled');

export default defineConfig({
  resolve: { alias: { '@headwater': join(import.meta.dirname, 'packages/headwater/src') } },
  test: {
    include: [
      'packages/*/src/**/*.test.{ts,tsx}',
      'packages/*/test/**/*.test.ts',
      'packages/*/sim/**/*.test.ts',
      'scripts/**/*.test.ts',
    ],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
    // Both processors of a small machine, and modules loaded once in each: a file of tests leaves nothing behind in them.
    maxWorkers: '100%',
    isolate: false,
    // What the commands print is compared; continuous integration often asks for colours.
    env: { NO_COLOR: '1' },
  },
});
