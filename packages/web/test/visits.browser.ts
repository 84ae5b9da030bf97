/** A second visit loads nothing again: neither code nor WebAssembly nor weights. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openOwnerScene } from './support/owner-scene.ts';
import { animals } from './support/subjects.ts';
import { measureVisits } from './support/visits.ts';

test('the first visit loads everything once, the second next to nothing', async () => {
  const subject = animals();
  const scene = await openOwnerScene(join(import.meta.dirname, '../dist'), subject);
  const profile = mkdtempSync(join(tmpdir(), 'headwater-profile-'));
  try {
    const [first, second] = await measureVisits(scene, subject, profile);
    console.log(`bytes down: ${first} at the first visit, ${second} at the second`);
    // ONNX Runtime alone, here uncompressed, is 14 MB.
    expect(first).toBeGreaterThan(14e6);
    expect(second).toBeLessThan(20_000);
  } finally {
    await scene.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 3 });
  }
});
