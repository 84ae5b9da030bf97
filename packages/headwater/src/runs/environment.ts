/** The machine and the versions a run was made with: in the report, because bits may depend on them. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, totalmem } from 'node:os';

export interface Environment {
  readonly headwater: string;
  readonly node: string;
  readonly onnxruntime: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
}

export function describeEnvironment(): Environment {
  const require = createRequire(import.meta.url);
  const version = (path: string | URL) =>
    (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
  return {
    headwater: version(new URL('../../package.json', import.meta.url)),
    node: process.version,
    onnxruntime: version(require.resolve('onnxruntime-node/package.json')),
    platform: `${process.platform}-${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
  };
}
