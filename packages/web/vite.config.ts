/**
 * The pages as static files: one entry a page, everything hashed but the engine's own files, which lie verbatim under
 * `ort/<version>/`. `--mode test` builds the pages of `test/pages` instead.
 */

import { cpSync, createReadStream, existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { defineConfig, type Plugin } from 'vite';

const root = import.meta.dirname;
const modules = join(root, '../../node_modules');
const ortFolder = join(modules, 'onnxruntime-web/dist');
const ortVersion = (
  JSON.parse(readFileSync(join(modules, 'onnxruntime-web/package.json'), 'utf8')) as { version: string }
).version;

const { version } = JSON.parse(readFileSync(join(root, '../headwater/package.json'), 'utf8')) as {
  version: string;
};

/** What the engine loads by URL: the library, its loader and its WebAssembly, for each backend (engine/worker/backend.ts). */
const ORT_FILES = [
  ...['ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'],
  ...['ort.webgpu.min.mjs', 'ort-wasm-simd-threaded.asyncify.mjs', 'ort-wasm-simd-threaded.asyncify.wasm'],
  ...['ort.jspi.min.mjs', 'ort-wasm-simd-threaded.jspi.mjs', 'ort-wasm-simd-threaded.jspi.wasm'],
];

/** Copied, not bundled: threads and WebAssembly of ONNX Runtime find each other by their own names. */
function ortFiles(): Plugin {
  let outDir = '';
  return {
    name: 'ort-files',
    configResolved(config) {
      outDir = join(config.root, config.build.outDir);
    },
    closeBundle() {
      for (const file of ORT_FILES) cpSync(join(ortFolder, file), join(outDir, 'ort', ortVersion, file));
    },
    configureServer(server) {
      server.middlewares.use(`/ort/${ortVersion}`, (request, response, next) => {
        const file = join(ortFolder, basename(new URL(request.url ?? '/', 'http://localhost').pathname));
        if (!ORT_FILES.includes(basename(file)) || !existsSync(file)) return next();
        response.setHeader('content-type', file.endsWith('.wasm') ? 'application/wasm' : 'text/javascript');
        createReadStream(file).pipe(response);
      });
    },
  };
}

export default defineConfig(({ mode, command }) => ({
  root: mode === 'test' ? join(root, 'test/pages') : root,
  base: './',
  plugins: [ortFiles()],
  // Workers lie in `assets/` once they are built.
  define: {
    __ORT_FOLDER__: JSON.stringify(`${command === 'serve' ? '/' : '../'}ort/${ortVersion}/`),
    __VERSION__: JSON.stringify(version),
  },
  resolve: {
    alias: {
      '@headwater': join(root, '../headwater/src'),
      // The same pages in a tenth of the bytes.
      'react/jsx-runtime': 'preact/jsx-runtime',
      'react/jsx-dev-runtime': 'preact/jsx-runtime',
      'react-dom/client': 'preact/compat/client',
      'react-dom': 'preact/compat',
      react: 'preact/compat',
      // Its modules one by one: the package's own entry is one piece of which nothing can be left out.
      'ml-matrix': join(modules, 'ml-matrix/src/index.js'),
    },
  },
  worker: { format: 'es', rolldownOptions: { output: { entryFileNames: 'assets/worker-[hash].js' } } },
  server: {
    headers: {
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    },
  },
  build: {
    target: 'es2024',
    outDir: mode === 'test' ? '../../dist-test' : 'dist',
    emptyOutDir: true,
    sourcemap: mode === 'test',
    rolldownOptions: {
      input:
        mode === 'test'
          ? [join(root, 'test/pages/engine.html')]
          : [join(root, 'index.html'), join(root, 'join.html')],
    },
  },
}));
