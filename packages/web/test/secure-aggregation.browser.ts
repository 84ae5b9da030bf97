/**
 * Secure aggregation with tabs: what a tab makes are the bytes that Node makes, and a run in which a tab and Node clients mask their
 * updates ends in the adapter of the plain run.
 */

import nodeCrypto from 'node:crypto';
import { readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { joinRun } from '../../headwater/src/client/join-node.ts';
import { type HelperServer, serveHelper } from '../../headwater/src/helper/serve.ts';
import { launchChromium } from './support/chromium.ts';
import { openEnginePage, startEngineServer } from './support/engine-page.ts';
import { accept, isFinished, look } from './support/owner-page.ts';
import { type OwnerScene, openOwnerScene } from './support/owner-scene.ts';
import { animals } from './support/subjects.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser?.close());

describe('from the same randomness', () => {
  const { randomBytes } = nodeCrypto;
  const { subtle } = crypto;
  afterEach(() => {
    nodeCrypto.randomBytes = randomBytes;
    syncBuiltinESMExports();
    Reflect.deleteProperty(subtle, 'importKey');
  });

  /** Modules anew: which X25519 there is they look up once. */
  async function inNode(portable: boolean) {
    vi.resetModules();
    const { fixedBytes, hideX25519, secureTranscript } = await import('./pages/secure-transcript.ts');
    if (portable) hideX25519();
    const random = fixedBytes('shares');
    // Where the package of the shares takes it from in Node.
    nodeCrypto.randomBytes = ((count: number) => Buffer.from(random(count).buffer)) as typeof randomBytes;
    syncBuiltinESMExports();
    return secureTranscript();
  }

  async function inTab(portable: boolean) {
    const server = await startEngineServer();
    const tab = await openEnginePage(browser, server);
    const transcript = await tab.call('secure', { portable });
    await tab.close();
    await server.close();
    return transcript;
  }

  test('keys, shares, masks and masked vectors are equal byte for byte in Node and Chromium, by WebCrypto and by JavaScript', async () => {
    const { expectedSum } = await import('./pages/secure-transcript.ts');
    const reference = await inNode(false);
    expect(reference.x25519).toBe('webcrypto');
    // Seven adverts, shares and (but one) vectors; five to six confirmations and answers; the sum; two servers.
    expect(reference.made.length).toBeGreaterThan(30);
    expect(reference.sum).toEqual(expectedSum());
    const portable = await inNode(true);
    expect(portable).toEqual({ ...reference, x25519: 'javascript' });
    expect(await inTab(false)).toEqual(reference);
    expect(await inTab(true)).toEqual(portable);
  });
});

describe('a run of a tab and two Node clients', () => {
  const subject = animals();
  let scene: OwnerScene;
  let helper: HelperServer;
  beforeAll(async () => {
    scene = await openOwnerScene(join(import.meta.dirname, '../dist'), subject);
    const store = join(scene.root, 'helper');
    helper = await serveHelper({ store, host: '127.0.0.1', port: 0, insecure: false, minUpdates: 3 });
  });
  afterAll(async () => {
    await helper?.close();
    await scene?.close();
  });

  const SHORT = [
    ...['federation.rounds=2', 'federation.localSteps=1', 'deployment.minOwners=3', 'federation.quorum=3'],
    // As many bits as masked sums of 32 bits hold here.
    'federation.fixedPoint={ fractionBits: 18, range: 16 }',
  ];

  async function ownerInNode(run: string, owner: string): Promise<string> {
    const { train, test: held } = scene.filesOf(owner);
    const { status } = await joinRun({
      url: await scene.invite(run, owner),
      data: { train: { files: train }, test: { files: held }, mapping: new Map([subject.mapping]) },
      state: join(scene.root, `state-${run}-${owner}`),
      threads: 1,
    });
    return status;
  }

  /** Of secure aggregation, as they are ticked off on the page. */
  async function stepsSeen(page: Page): Promise<() => Promise<string[]>> {
    const seen = await page.evaluateHandle(() => {
      const texts = new Set<string>();
      new MutationObserver(() => {
        for (const { textContent } of document.querySelectorAll('.steps .done')) texts.add(textContent ?? '');
      }).observe(document.body, { subtree: true, childList: true, characterData: true });
      return texts;
    });
    return () => seen.evaluate((texts) => [...texts]);
  }

  test('ends in the adapter of the plain run, masked by its owners together and by two servers', async () => {
    const context = await browser.newContext({ reducedMotion: 'reduce' });
    const complaints: string[] = [];
    const adapterOf = async (run: string, secureAggregation?: object) => {
      const privacy =
        secureAggregation === undefined
          ? []
          : [`privacy.secureAggregation=${JSON.stringify(secureAggregation)}`];
      await scene.createRun(run, [...SHORT, ...privacy]);
      const page = await look(context, await scene.invite(run, 'ann'), complaints);
      await accept(page, {
        ...{ files: scene.filesOf('ann'), mapping: subject.mapping, maxRounds: 2, backend: 'wasm' },
      });
      const steps = await stepsSeen(page);
      const nodes = ['ben', 'cid'].map((owner) => ownerInNode(run, owner));
      expect(await Promise.all(nodes)).toEqual(['finished', 'finished']);
      await isFinished(page);
      const said = await steps();
      await page.close();
      const state = (await scene.server.operator.state(run))!;
      expect(state.closed.map(({ members }) => Object.keys(members).sort())).toEqual([
        ['ann', 'ben', 'cid'],
        ['ann', 'ben', 'cid'],
      ]);
      const adapter = join(scene.server.resultsFolder, run, 'adapter/adapter_model.safetensors');
      return { said, bytes: readFileSync(adapter) };
    };
    const plain = await adapterOf('plain');
    const together = await adapterOf('together', { mode: 'secagg-plus' });
    expect(together.bytes.equals(plain.bytes)).toBe(true);
    expect(plain.said).toEqual([]);
    expect(together.said).toEqual([
      expect.stringMatching(/^✓Fresh keys made/),
      expect.stringMatching(/^✓Keys exchanged/),
      expect.stringMatching(/^✓Update masked and sent/),
      expect.stringMatching(/^✓Signed whose updates are in the sum/),
      expect.stringMatching(/^✓Helped to open the sum of 3 owners; secrets erased/),
    ]);
    const { url, publicKey: key } = helper;
    const twoServers = await adapterOf('two-servers', { mode: 'two-server', helper: { url, key } });
    expect(twoServers.bytes.equals(plain.bytes)).toBe(true);
    expect(twoServers.said).toEqual([expect.stringMatching(/^✓Update masked and sent; the key of its mask/)]);
    expect(complaints).toEqual([]);
  }, 240_000);
});
