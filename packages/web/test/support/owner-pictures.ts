/** Pictures of an owner's page from the invitation to the result: a tab and two Node clients in a masked run of their own. */

import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { joinRun } from '../../../headwater/src/client/join-node.ts';
import { decide, isFinished, look as openLink, PATIENCE_MS } from './owner-page.ts';
import type { OwnerScene } from './owner-scene.ts';
import { domains } from './subjects.ts';

export interface Pictures {
  readonly browser: Browser;
  readonly scene: OwnerScene;
  readonly look: string;
  readonly options: BrowserContextOptions;
  readonly save: (page: Page, name: string, look: string) => Promise<void>;
}

const ROUNDS = 8;

export async function takeOwnerPictures(pictures: Pictures): Promise<void> {
  const { browser, scene, look, options, save } = pictures;
  const run = `intents-${look}`;
  await scene.createRun(run, [
    ...[`federation.rounds=${ROUNDS}`, 'federation.localSteps=4', 'deployment.minOwners=3'],
    ...['federation.quorum=3', 'privacy.secureAggregation.mode=secagg-plus'],
    'description=Banks and travel agencies teach one small model to name what a customer wants.',
  ]);
  const context = await browser.newContext({ ...options, reducedMotion: 'reduce' });
  try {
    await pictureTrouble(pictures, run);
    const page = await openLink(context, await scene.invite(run, 'ann'), []);
    const yes = { files: scene.filesOf('ann'), mapping: domains().mapping, maxRounds: ROUNDS };
    await decide(page, yes);
    await page.getByText('The model (').waitFor();
    await save(page, 'join-look', look);
    await page.getByRole('button', { name: 'Accept and take part' }).and(page.locator(':enabled')).click();
    const nodes = ['ben', 'cid'].map((owner) => ownerInNode(scene, run, owner));
    await page.getByRole('row', { name: /^3 .*accepted/ }).waitFor();
    await save(page, 'join-working', look);
    await isFinished(page);
    await Promise.all(nodes);
    await page.getByLabel('Your message').fill('how do i say goodbye in french');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByRole('button', { name: 'Stop' }).waitFor({ state: 'detached' });
    await page.locator('.turn.assistant').first().waitFor();
    await save(page, 'join-result', look);
  } finally {
    await context.close();
  }
}

/** The page without an invitation, and with one that no longer counts. */
async function pictureTrouble({ browser, scene, look, options, save }: Pictures, run: string): Promise<void> {
  const context = await browser.newContext({ ...options, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(scene.server.url);
  await page.getByLabel('Your invitation').waitFor();
  await save(page, 'join-start', look);
  const link = await scene.invite(run, 'eve');
  const [token] = (await scene.server.operator.tokens(run)).filter(({ owner }) => owner === 'eve');
  await scene.server.operator.revokeToken(token!.id);
  await page.goto('about:blank');
  await page.goto(link);
  await page.getByRole('alert').waitFor();
  await save(page, 'join-trouble', look);
  await context.close();
}

async function ownerInNode(scene: OwnerScene, run: string, owner: string): Promise<void> {
  const { train, test } = scene.filesOf(owner);
  await joinRun({
    url: await scene.invite(run, owner),
    data: { train: { files: train }, test: { files: test }, mapping: new Map([domains().mapping]) },
    state: join(scene.root, `state-${run}-${owner}`),
    threads: 1,
  });
}
