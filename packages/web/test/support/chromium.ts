/** Debian's Chromium, headless. `CHROMIUM_PATH` names another one. */

import { existsSync } from 'node:fs';
import { type Browser, type BrowserContext, chromium } from 'playwright-core';

/** WebGPU on SwiftShader, which needs no GPU. */
const SOFTWARE_GPU = [
  '--enable-unsafe-webgpu',
  '--enable-features=Vulkan',
  '--use-vulkan=swiftshader',
  '--use-webgpu-adapter=swiftshader',
];

export interface ChromiumOptions {
  readonly webgpu?: boolean;
}

/** Throws when there is none: a test of the browser that does not run is no test. */
export async function launchChromium({ webgpu = false }: ChromiumOptions = {}): Promise<Browser> {
  const args = [...ALWAYS, ...(webgpu ? SOFTWARE_GPU : ['--disable-gpu'])];
  return chromium.launch({ executablePath: executable(), headless: true, args });
}

/** With a profile in a folder, as people have it: what is stored and cached stays when the browser is closed. */
export async function launchProfile(folder: string): Promise<BrowserContext> {
  const args = [...ALWAYS, '--disable-gpu'];
  return chromium.launchPersistentContext(folder, { executablePath: executable(), headless: true, args });
}

/** Chromium's own sandbox asks for kernel features that containers and root do not have. */
const ALWAYS = ['--no-sandbox'];

function executable(): string {
  const path = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
  if (existsSync(path)) return path;
  throw new Error(`no Chromium at ${path}: install Debian's package chromium or set CHROMIUM_PATH`);
}
