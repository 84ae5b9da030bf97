/** Owners' pages as owners use them, watched for everything that must not happen on them. */

import type { BrowserContext, Page } from 'playwright-core';
import type { OwnerFiles } from './owner-scene.ts';

export const PATIENCE_MS = 120_000;

/** Errors, refusals of the content policy, requests to another origin, a token in an address. */
export function watch(page: Page, origin: string, complaints: string[]): void {
  page.setDefaultTimeout(PATIENCE_MS);
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    const expected = /status of (401|403|404|410)|net::ERR_/.test(message.text());
    if (message.type() === 'error' && !expected) complaints.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(origin) && !request.url().startsWith('blob:'))
      complaints.push(`a request to ${request.url()}`);
    if (request.url().includes('hw1_')) complaints.push('a token in an address');
  });
}

export async function look(context: BrowserContext, link: string, complaints: string[]): Promise<Page> {
  const page = await context.newPage();
  watch(page, new URL(link).origin, complaints);
  await page.goto(link);
  await page.getByRole('heading', { level: 2, name: 'What this run is' }).waitFor();
  return page;
}

export interface Yes {
  readonly files: OwnerFiles;
  /** The run's name of a column, and the owner's. */
  readonly mapping: readonly [wanted: string, own: string];
  readonly maxRounds: number;
  /** As `Compute with` has it; default: the best. */
  readonly backend?: string;
}

/** Files, which column is which, a limit: everything but the yes itself. */
export async function decide(page: Page, { files, mapping, maxRounds, backend }: Yes): Promise<void> {
  await page.getByLabel('Drop files here').setInputFiles(files.train);
  await page.getByLabel(`The run’s “${mapping[0]}” is your`).fill(mapping[1]);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'As the model sees them' }).waitFor();
  await page.getByLabel('The next files are').selectOption('test');
  await page.getByLabel('Drop files here').setInputFiles(files.test);
  await page.getByRole('listitem').filter({ hasText: 'only to measure on at the end' }).waitFor();
  await page.getByLabel('Rounds, at most').fill(String(maxRounds));
  await page.keyboard.press('Enter');
  if (backend !== undefined) await page.getByLabel('Compute with').selectOption(backend);
}

export async function accept(page: Page, yes: Yes): Promise<void> {
  await decide(page, yes);
  await page.getByRole('button', { name: 'Accept and take part' }).and(page.locator(':enabled')).click();
}

export const doing = (page: Page, words: RegExp) =>
  page.getByRole('status').filter({ hasText: words }).first().waitFor();

export const isFinished = (page: Page) =>
  page.getByRole('heading', { level: 2, name: 'The run is finished' }).waitFor();

export async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  const endMs = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (Date.now() > endMs) throw new Error('it did not come to that in time');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
