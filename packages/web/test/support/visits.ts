/** Bytes of an owner's visits: look, train to the end; come back, open the result and chat with it. */

import type { Page } from 'playwright-core';
import { launchProfile } from './chromium.ts';
import { startCountingProxy } from './counting-proxy.ts';
import { accept, isFinished, PATIENCE_MS } from './owner-page.ts';
import type { OwnerScene } from './owner-scene.ts';
import type { Subject } from './subjects.ts';

const RUN = 'visits';

/** Bytes from the coordinator to the browser, headers and all, of both visits. `profile`: an empty folder. */
export async function measureVisits(
  scene: OwnerScene,
  subject: Subject,
  profile: string,
): Promise<readonly [first: number, second: number]> {
  await scene.createRun(RUN, [
    ...['deployment.minOwners=1', 'federation.rounds=1', 'federation.localSteps=2'],
  ]);
  const proxy = await startCountingProxy(scene.server.url);
  try {
    const link = (await scene.invite(RUN, 'ann')).replace(scene.server.url, proxy.url);
    await inBrowser(profile, async (page) => {
      await page.goto(link);
      await accept(page, { files: scene.filesOf('ann'), mapping: subject.mapping, maxRounds: 1 });
      await isFinished(page);
    });
    const first = proxy.downBytes;
    // The browser was closed meanwhile: what comes from memory only would come again.
    await inBrowser(profile, async (page) => {
      await page.goto(proxy.url);
      await page.getByRole('button', { name: /^Open/ }).click();
      await isFinished(page);
      await page.getByLabel('Your message').fill('hello');
      await page.getByRole('button', { name: 'Send' }).click();
      await page.getByRole('button', { name: 'Stop' }).waitFor();
      await page.getByRole('button', { name: 'Stop' }).waitFor({ state: 'detached' });
    });
    return [first, proxy.downBytes - first];
  } finally {
    await proxy.close();
  }
}

async function inBrowser(profile: string, act: (page: Page) => Promise<void>): Promise<void> {
  const context = await launchProfile(profile);
  try {
    const page = context.pages()[0] ?? (await context.newPage());
    page.setDefaultTimeout(PATIENCE_MS);
    await act(page);
  } finally {
    await context.close();
  }
}
