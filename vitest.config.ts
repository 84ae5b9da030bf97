import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

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
    pool: 'forks',
    // What the commands print is compared; continuous integration often asks for colours.
    env: { NO_COLOR: '1' },
  },
});
