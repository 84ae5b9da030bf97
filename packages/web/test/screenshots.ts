/**
 * `node packages/web/test/screenshots.ts [page or look …]`: pictures of every page into docs/screenshots, on a desktop, on a phone
 * and in the dark, from a real coordinator. Needs `npm run build:web` before.
 */

import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { launchChromium } from './support/chromium.ts';
import { openScene } from './support/dashboard-scene.ts';
import { takeOwnerPictures } from './support/owner-pictures.ts';
import { openOwnerScene } from './support/owner-scene.ts';
import { domains } from './support/subjects.ts';

const root = join(import.meta.dirname, '../../..');
const folder = join(root, 'docs/screenshots');

const LOOKS = {
  desktop: { viewport: { width: 1280, height: 800 }, colorScheme: 'light' },
  phone: {
    viewport: { width: 390, height: 844 },
    colorScheme: 'light',
    deviceScaleFactor: 1.5,
    isMobile: true,
    hasTouch: true,
  },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' },
} as const;

/** Names of pages and of looks; none: all. */
const given = process.argv.slice(2);
const looks = (Object.keys(LOOKS) as (keyof typeof LOOKS)[]).filter(
  (look) => !given.some((word) => word in LOOKS) || given.includes(look),
);
const wanted = given.filter((word) => !(word in LOOKS));

/** Nothing held out: what owners scored would be told without noise. */
const PRIVATE_DATA =
  "data={ train: { files: data/train.csv }, schema: { kind: prompt-completion, prompt: '{prompt}', completion: '{answer}', chat: false }, ownerColumn: owner, maxLength: 32 }";

interface Shot {
  readonly name: string;
  readonly hash: string;
  /** What must be there before the picture is taken. */
  readonly ready: string;
  readonly act?: (page: Page) => Promise<unknown>;
}

const SHOTS: readonly Shot[] = [
  { name: 'runs', hash: '#/', ready: '.cards h2' },
  { name: 'run', hash: '#/runs/three-sites', ready: '.chart canvas' },
  { name: 'private', hash: '#/runs/private', ready: '#privacy' },
  {
    name: 'rounds',
    hash: '#/runs/live/rounds',
    ready: 'tbody tr',
    act: (page) => page.locator('tbody button').nth(1).click(),
  },
  { name: 'clients', hash: '#/runs/live/clients', ready: 'tbody tr' },
  { name: 'recipe', hash: '#/runs/three-sites/recipe', ready: 'pre', act: hidePlacesInRecipe },
  { name: 'journal', hash: '#/runs/live/journal', ready: 'tbody tr' },
  { name: 'files', hash: '#/runs/three-sites/files', ready: 'tbody tr' },
  { name: 'waiting', hash: '#/runs/next', ready: '.empty' },
  { name: 'compare', hash: '#/compare?runs=three-sites,proximal', ready: '.chart canvas' },
  { name: 'new-run', hash: '#/new', ready: '.right', act: hidePlaces },
  { name: 'mistakes', hash: '#/new', ready: '.right', act: makeMistakes },
  { name: 'invite', hash: '#/runs/next/invite', ready: 'form', act: invite },
];

/** Pictures say nothing about the machine that they were made on. */
const PLACES = [
  [root, '/srv/headwater'],
  [/\/\S*headwater-run-\w+/g, '/srv/runs'],
] as const;

function elsewhere(text: string): string {
  return PLACES.reduce((result, [place, other]) => result.replaceAll(place, other), text);
}

async function hidePlaces(page: Page): Promise<void> {
  const text = page.locator('#text');
  await text.fill(elsewhere(await text.inputValue()));
  await text.evaluate((area: HTMLTextAreaElement) => {
    area.blur();
    area.scrollTop = 0;
  });
  await page.locator('.right').waitFor();
}

async function hidePlacesInRecipe(page: Page): Promise<void> {
  const text = elsewhere((await page.locator('pre').textContent()) ?? '');
  await page.locator('pre').evaluate((element, other) => element.replaceChildren(other), text);
}

async function makeMistakes(page: Page): Promise<void> {
  await hidePlaces(page);
  const text = page.locator('#text');
  await text.fill(
    (await text.inputValue()).replace(/rounds: \d+/, 'rounds: 0').replace('kind: fedavg', 'kind: fedavgg'),
  );
  await page.locator('ul.wrong').waitFor();
}

async function invite(page: Page): Promise<void> {
  await page.getByLabel('Name of the owner').fill('clinic-north');
  await page.getByRole('button', { name: 'Make an invitation' }).click();
  await page.locator('.qr').waitFor();
}

async function takeAll(
  browser: Browser,
  url: string,
  token: string,
  look: keyof typeof LOOKS,
): Promise<void> {
  const context = await browser.newContext({ ...LOOKS[look], reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.setDefaultTimeout(90_000);
  await page.goto(url);
  await page.getByLabel('Admin token').waitFor();
  await save(page, 'sign-in', look);
  await page.getByLabel('Admin token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { level: 1, name: 'Runs' }).waitFor();
  for (const { name, hash, ready, act } of SHOTS) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    // Another address behind `#` alone would not load the page anew.
    await page.goto('about:blank');
    await page.goto(`${url}/${hash}`);
    await page.locator(ready).first().waitFor();
    await act?.(page);
    await page.waitForTimeout(300);
    await save(page, name, look);
  }
  await context.close();
}

async function save(page: Page, name: string, look: string): Promise<void> {
  if (wanted.length > 0 && !wanted.includes(name)) return;
  await page.screenshot({ path: join(folder, `${name}-${look}.png`), fullPage: true });
}

mkdirSync(folder, { recursive: true });
// A copy: building the pages anew would take them away from under the coordinator.
const pages = mkdtempSync(join(tmpdir(), 'headwater-pages-'));
cpSync(join(root, 'packages/headwater/assets/web'), pages, { recursive: true });
const browser = await launchChromium();
try {
  const isOwners = (name: string) => name.startsWith('join');
  if (wanted.length === 0 || !wanted.every(isOwners)) await takeDashboard(browser);
  if (wanted.length === 0 || wanted.some(isOwners)) await takeOwners(browser);
} finally {
  await browser.close();
  rmSync(pages, { recursive: true });
}

async function takeOwners(browser: Browser): Promise<void> {
  const scene = await openOwnerScene(pages, domains());
  try {
    for (const look of looks) await takeOwnerPictures({ browser, scene, look, options: LOOKS[look], save });
  } finally {
    await scene.close();
  }
}

async function takeDashboard(browser: Browser): Promise<void> {
  const scene = await openScene(pages);
  try {
    const steps = [
      'evaluation.tasks[0].kind=token-accuracy',
      'federation.localSteps=3',
      'training.optimizer.learningRate=0.02',
    ];
    await scene.finish('three-sites', [
      ...steps,
      'federation.rounds=6',
      'description=Three owners with one animal each learn what it says.',
    ]);
    await scene.finish('proximal', [
      ...steps,
      'federation.rounds=4',
      'federation.method.kind=fedprox',
      'federation.method.mu=0.1',
    ]);
    await scene.finish('private', [
      ...[
        'federation.localSteps=3',
        PRIVATE_DATA,
        'federation.rounds=6',
        'federation.weighting=uniform',
        'federation.quorum=3',
      ],
      'privacy.secureAggregation.mode=secagg-plus',
      'privacy.clientLevel={ trust: distributed, clip: { norm: 0.1 }, targetEpsilon: 8, delta: 0.001 }',
    ]);
    await scene.wait('next');
    await scene.begin(
      'live',
      ['federation.rounds=40', 'evaluation.everyRounds=2', 'evaluation.tasks[0].kind=token-accuracy'],
      5,
    );
    for (const look of looks) await takeAll(browser, scene.server.adminUrl, scene.server.adminToken, look);
  } finally {
    await scene.close();
  }
}
