/** The built pages open, under the policy and the isolation that the coordinator serves them with. */

import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium } from './support/chromium.ts';
import { type StaticServer, startStaticServer } from './support/static-server.ts';

let browser: Browser;
let server: StaticServer;

beforeAll(async () => {
  server = await startStaticServer({ mounts: { '/': join(import.meta.dirname, '../dist') } });
  browser = await launchChromium();
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
});

test.each(['index.html', 'join.html'])('%s: a heading, isolated, nothing refused or failed', async (file) => {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    // Only files are served here, no coordinator.
    if (message.type() === 'error' && !message.text().includes('status of 404'))
      complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(`${server.url}/${file}`);
  await page.getByRole('heading', { level: 1 }).first().waitFor();
  expect(await page.getByRole('heading', { level: 1 }).count()).toBe(1);
  expect(await page.evaluate(() => globalThis.crossOriginIsolated)).toBe(true);
  expect(complaints).toEqual([]);
  await page.close();
});
