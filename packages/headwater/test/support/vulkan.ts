/** Finds a Vulkan driver for WebGPU tests on machines without a GPU: SwiftShader, as Debian's chromium package ships it. */

import { existsSync } from 'node:fs';

const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** Points the Vulkan loader at SwiftShader unless the user chose a driver. Call before the first WebGPU session. */
export function useSoftwareVulkan(): void {
  if (process.env.VK_DRIVER_FILES !== undefined || process.env.VK_ICD_FILENAMES !== undefined) return;
  if (!existsSync(SWIFTSHADER)) return;
  process.env.VK_DRIVER_FILES = SWIFTSHADER;
  process.env.VK_ICD_FILENAMES = SWIFTSHADER;
}
