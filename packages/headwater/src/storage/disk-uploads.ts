/**
 * Uploads over a Disk: one sparse file each, which sealing renames without copying. A restarted process, or another one over
 * the same folder, goes on with what is there.
 */

import type { UploadPlan, Uploads } from './blobs.ts';
import type { BlobFiles } from './disk-blob-files.ts';
import { within } from './disk-paths.ts';
import { receiveChunk } from './disk-upload-chunks.ts';
import { appendFrame, isRenamed, newUpload, storedPlan, takeOver, type Upload } from './disk-upload-files.ts';
import { makeBlob, type StoreOnly } from './disk-upload-seal.ts';
import { inTurn } from './in-turn.ts';
import {
  checkComplete,
  checkKey,
  checkPlan,
  chunkCount,
  samePlan,
  uploadInvalid,
  uploadUnknown,
} from './upload-plan.ts';

export function diskUploads(files: BlobFiles, folder: string, store: StoreOnly): Uploads {
  const { disk } = files;
  const known = new Map<string, Upload>();
  const turn = inTurn();
  let folderMade = false;

  /** Of this process or, after a restart, from the disk. */
  async function find(key: string): Promise<Upload | undefined> {
    const upload = known.get(key);
    if (upload !== undefined) return upload;
    const empty = newUpload(folder, { key, digest: '', bytes: 0, chunkBytes: 1 });
    const plan = await storedPlan(disk, empty.listPath);
    if (plan === undefined || plan.key !== key) return undefined;
    const resumed = newUpload(folder, plan);
    await takeOver(disk, resumed);
    known.set(key, resumed);
    return resumed;
  }

  async function begin(plan: UploadPlan): Promise<Upload> {
    const upload = newUpload(folder, plan);
    await forget(upload);
    if (!folderMade) await disk.makeFolder(folder);
    folderMade = true;
    await appendFrame(disk, upload.listPath, upload.plan);
    known.set(plan.key, upload);
    return upload;
  }

  async function forget({ plan: { key }, listPath, dataPath }: Upload): Promise<void> {
    const upload = known.get(key);
    // Chunks that are still arriving find no upload any more.
    if (upload !== undefined) upload.gone = true;
    known.delete(key);
    // The list first: bytes without a list are no upload.
    await disk.remove(listPath);
    await disk.remove(dataPath);
  }

  /** Another process that sealed or dropped it took its list away. */
  async function findStanding(key: string): Promise<Upload | undefined> {
    const upload = await find(key);
    if (upload === undefined || (await disk.stat(upload.listPath)) !== undefined) return upload;
    await forget(upload);
    return undefined;
  }

  async function open(plan: UploadPlan): Promise<readonly number[]> {
    const begun = await findStanding(plan.key);
    const upload = begun !== undefined && samePlan(begun.plan, plan) ? begun : await begin(plan);
    if (upload === begun) await takeOver(disk, upload);
    return [...upload.chunks.keys()].sort((a, b) => a - b);
  }

  async function seal(plan: UploadPlan): Promise<string> {
    const upload = await findStanding(plan.key);
    if (upload === undefined || !samePlan(upload.plan, plan)) return sealedBefore(files, plan);
    if (await isRenamed(disk, upload)) {
      await forget(upload);
      return sealedBefore(files, plan);
    }
    if (upload.chunks.size < chunkCount(plan)) await takeOver(disk, upload);
    checkComplete(plan, (index) => upload.chunks.has(index));
    const digest = await makeBlob(files, upload, store);
    await forget(upload);
    if (digest === undefined) return sealedBefore(files, plan);
    if (digest !== plan.digest)
      throw uploadInvalid(plan.key, `the whole has SHA-256 ${digest}, announced was ${plan.digest}`);
    return digest;
  }

  return {
    async open(plan) {
      checkPlan(plan);
      return turn(plan.key, () => open(plan));
    },
    async putChunk(key, index, digest, source) {
      checkKey(key);
      const upload = await turn(key, () => find(key));
      if (upload === undefined) throw uploadUnknown(key);
      await receiveChunk(disk, turn, upload, { index, digest, source });
    },
    async seal(plan) {
      checkPlan(plan);
      return turn(plan.key, () => seal(plan));
    },
    async drop(key) {
      checkKey(key);
      await turn(key, () => forget(newUpload(folder, { key, digest: '', bytes: 0, chunkBytes: 1 })));
    },
    list: () => list(files, folder),
  };
}

async function sealedBefore(files: BlobFiles, plan: UploadPlan): Promise<string> {
  if (await files.isThere(plan.digest, plan.bytes)) return plan.digest;
  checkComplete(plan, () => false);
  throw uploadInvalid(plan.key, 'it was never opened');
}

async function list({ disk }: BlobFiles, folder: string): ReturnType<Uploads['list']> {
  const found: { key: string; bytes: number; modifiedMs: number }[] = [];
  for (const name of await disk.list(folder)) {
    if (!name.endsWith('.chunks')) continue;
    const path = within(folder, name);
    const [plan, stat] = [await storedPlan(disk, path), await disk.stat(path)];
    if (plan === undefined || stat === undefined) continue;
    found.push({ key: plan.key, bytes: plan.bytes, modifiedMs: stat.modifiedMs });
  }
  return found;
}
