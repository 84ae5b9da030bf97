/** What axe-core has to say about a page that is open. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface WithAxe {
  readonly axe: { run(): Promise<import('axe-core').AxeResults> };
}

/** Serious and critical ones. */
export async function findings(page: Page): Promise<string[]> {
  // Evaluated as the developer tools do: no script element, so the content policy need not allow it.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => (globalThis as unknown as WithAxe).axe.run());
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`);
}
