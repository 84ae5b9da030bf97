/** Debian's Chromium, headless. `CHROMIUM_PATH` names another one. */

import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

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
  const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
  if (!existsSync(executablePath))
    throw new Error(
      `no Chromium at ${executablePath}: install Debian's package chromium or set CHROMIUM_PATH`,
    );
  // Chromium's own sandbox asks for kernel features that containers and root do not have.
  const args = ['--no-sandbox', ...(webgpu ? SOFTWARE_GPU : ['--disable-gpu'])];
  return chromium.launch({ executablePath, headless: true, args });
}
