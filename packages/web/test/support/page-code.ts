/** How much code pages load, of the project's own and of the libraries in it, compressed as a server sends it. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';

/** Collects names of scripts and styles in `assets/` that a page and its workers ask for; ONNX Runtime lies elsewhere. */
export function noteCode(page: Page, names: Set<string>): void {
  page.on('request', (request) => {
    const name = /\/assets\/([^/?]+\.(?:js|css))$/.exec(request.url())?.[1];
    if (name !== undefined) names.add(name);
  });
}

export interface CodeSizes {
  readonly bytes: number;
  readonly gzip: number;
  readonly brotli: number;
}

/** `folder`: of the built pages. */
export function codeSizes(folder: string, names: Iterable<string>): CodeSizes {
  const files = [...names].map((name) => readFileSync(join(folder, 'assets', name)));
  const sum = (of: (file: Buffer) => Uint8Array) =>
    files.reduce((total, file) => total + of(file).byteLength, 0);
  return {
    bytes: sum((file) => file),
    gzip: sum((file) => gzipSync(file, { level: 9 })),
    brotli: sum((file) => brotliCompressSync(file)),
  };
}
