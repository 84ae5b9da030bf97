/** The worker of an owner's page: it holds the data, the model and the client; the page only shows and asks. */

import { HeadwaterError, messageOf } from '@headwater/base/errors.ts';
import { isOutOfMemory, outOfMemory } from '@headwater/base/out-of-memory.ts';
import { createCaller } from '@headwater/client/call.ts';
import { runClient } from '@headwater/client/core.ts';
import { joinedBefore, keyBytes } from '@headwater/client/identity.ts';
import { forgetSeen, loadEvidence } from '@headwater/client/log-memory.ts';
import { lookAt } from '@headwater/client/look.ts';
import { ownNoiseWords } from '@headwater/client/own-noise-words.ts';
import { createPolicy } from '@headwater/client/policy.ts';
import { persist } from '@headwater/client/retry.ts';
import { bindTuning } from '@headwater/jobs/records.ts';
import { openBlobStore } from '../../engine/worker/blob-store.ts';
import { storageFailed } from '../../engine/worker/reader.ts';
import { turnstile } from '../../engine/worker/turnstile.ts';
import type { Commands, FromWorker, PlainError, Seat, TabEvent, ToWorker } from '../messages.ts';
import { clientStore, type Database, openDatabase, removeSeat } from './database.ts';
import { checkFile, keepFile, removeFile, removeFiles } from './files.ts';
import { type Learner, openLearner } from './learner.ts';
import { chosenBackend, describeMachine } from './machine.ts';
import { openTexts } from './model.ts';
import {
  type Basics,
  findPlace,
  inSeat,
  type Place,
  registries,
  tabBasics,
  tabParts,
  tabRecipe,
} from './place.ts';
import { firstRows } from './rows.ts';
import { allSeats, readSeat, saveSeat, seatOfToken } from './seats.ts';
import { runInWords } from './summary.ts';
import { openTabTrainer } from './trainer.ts';
import { adapterZip, openWriter, RESULT, type Writer } from './writer.ts';

declare const __VERSION__: string;

const tell = (message: FromWorker) => self.postMessage(message);
const onEvent = (event: TabEvent) => tell({ event });

let opened: Promise<Database> | undefined;
function database(): Promise<Database> {
  opened ??= openDatabase(() => {
    opened = undefined;
  });
  return opened;
}

let stopping = new AbortController();
let writer: { readonly seat: string; readonly opened: Promise<Writer> } | undefined;
/** One for a worker: WebAssembly gives its memory back only when the worker ends. */
let learner: { readonly seat: string; readonly opened: Promise<Learner> } | undefined;

interface Here {
  readonly seat: Seat;
  readonly basics: Basics;
  readonly place: Place;
}

/** What was found stays: an owner who changes a limit asks nobody anything. */
const places = new Map<string, Promise<Place>>();

async function here(id: string): Promise<Here> {
  const all = await database();
  const seat = await readSeat(all, id);
  const basics = tabBasics(all, seat, onEvent);
  const found = places.get(id) ?? findPlace(basics, seat, stopping.signal);
  places.set(id, found);
  found.catch(() => places.delete(id));
  return { seat, basics, place: await found };
}

/** Seats are read, changed and written: two changes at once would undo each other. */
const inTurn = turnstile();

function change(id: string, with_: (seat: Seat) => Partial<Seat>): Promise<Seat> {
  return inTurn(async () => {
    const all = await database();
    const seat = await readSeat(all, id);
    return saveSeat(all, { ...seat, ...with_(seat), id });
  });
}

async function modelParts({ place: { manifest, fetchBlob } }: Here) {
  return { manifest, fetchBlob, store: await openBlobStore(), signal: stopping.signal, onEvent };
}

function learnerOf(at: Here): Promise<Learner> {
  if (learner?.seat !== at.seat.id) learner = { seat: at.seat.id, opened: openLearnerAt(at) };
  const { opened } = learner;
  opened.catch(() => {
    if (learner?.opened === opened) learner = undefined;
  });
  return opened;
}

async function openLearnerAt(at: Here): Promise<Learner> {
  const choice = await chosenBackend(at.seat.backend);
  onEvent({ type: 'backend', machine: choice });
  const recipe = tabRecipe(at.place.manifest);
  return openLearner(await modelParts(at), { recipe, registries }, choice);
}

async function work(id: string): Promise<Seat> {
  const all = await database();
  const seat = await change(id, () => ({ state: 'working' }));
  const basics = tabBasics(all, seat, onEvent);
  const { signal } = stopping;
  let noted: Promise<unknown> = Promise.resolve();
  const outcome = await runClient(
    {
      ...basics,
      policy: createPolicy(seat.policy),
      onEvent(event) {
        if (event.type === 'joined') {
          places.delete(id);
          const { run, owner } = event;
          noted = change(id, () => ({ token: null, run, owner }));
          // It fails where it is waited for.
          noted.catch(() => undefined);
        }
        onEvent(event);
      },
      async openTrainer(manifest, owner, fetchBlob) {
        await noted;
        onEvent({ type: 'preparing', what: 'data' });
        const parts = await tabParts(tabRecipe(manifest), owner, seat);
        const at = await here(id);
        const ready = await learnerOf({ ...at, place: { ...at.place, fetchBlob } });
        onEvent({ type: 'preparing', what: 'engine' });
        const steps = ready.recipe.federation.localSteps;
        const onStep = ({ step, loss }: { step: number; loss: number }) =>
          onEvent({ type: 'step', step: ((step - 1) % steps) + 1, steps, loss });
        const trainer = openTabTrainer({ learner: ready, owner, parts, onStep });
        onEvent({ type: 'ready' });
        return trainer;
      },
      async onResult(params) {
        await basics.store.save(RESULT, params);
        await change(id, () => ({ hasResult: true }));
      },
    },
    {
      token: seat.token ?? undefined,
      software: `headwater/${__VERSION__} (browser)`,
      signal,
    },
  );
  const { status, reason, run, owner } = outcome;
  return change(id, () => ({ state: 'over', token: null, run, owner, outcome: { status, reason } }));
}

const commands: Commands = {
  seats: async () => allSeats(await database()),
  seatOf: async (input) => seatOfToken(await database(), input),
  change: ({ seat, change: with_ }) => change(seat, () => with_),
  machine: ({ backend }) => describeMachine(backend),
  async look({ seat }) {
    const { place } = await here(seat);
    const { operator, owner, joined } = place.source;
    const { manifest } = place;
    const { policy } = await change(seat, () => ({ run: manifest.run }));
    const reasons = createPolicy(policy).accepts(manifest);
    const summary = runInWords(tabRecipe(manifest), manifest);
    return { operator, owner, joined, manifest, summary, reasons };
  },
  async addFile({ seat, file, use }) {
    await checkFile(file);
    const id = crypto.randomUUID();
    await keepFile(seat, id, file);
    const added = { id, name: file.name, bytes: file.size, use };
    return change(seat, ({ files }) => ({ files: [...files, added] }));
  },
  async removeFile({ seat, file }) {
    await removeFile(seat, file);
    return change(seat, ({ files }) => ({ files: files.filter(({ id }) => id !== file) }));
  },
  async rows({ seat }) {
    const { place, ...at } = await here(seat);
    return firstRows(tabRecipe(place.manifest), at.seat);
  },
  async preview({ seat: id }) {
    const at = await here(id);
    const { seat, place } = at;
    const { manifest } = place;
    const owner = place.source.owner ?? 'client';
    const recipe = tabRecipe(manifest);
    const parts = await tabParts(recipe, owner, seat);
    const texts = await openTexts(await modelParts(at));
    const { recipe: _, ...look } = lookAt(seat.policy, manifest, { recipe, registries, parts }, texts, owner);
    return { ...look, ownNoise: ownNoiseWords(recipe, parts.train.length) };
  },
  work: ({ seat }) => inSeat(seat, () => work(seat)),
  async stop() {
    stopping.abort();
    stopping = new AbortController();
  },
  async leave({ seat }) {
    const { basics } = await here(seat);
    const joined = await joinedBefore(basics);
    if (joined !== undefined) {
      const { run } = joined;
      const caller = createCaller(basics, (await basics.signer(keyBytes(joined))).signer);
      const { signal } = stopping;
      await persist(basics, signal, () => caller.json('leave', { params: { run } }, signal));
    }
    await removeFiles(seat);
    return change(seat, () => ({ state: 'left', files: [] }));
  },
  async forget({ seat }) {
    await removeFiles(seat);
    await removeSeat(await database(), seat);
    if ((await allSeats(await database())).length === 0) await (await openBlobStore()).clear();
  },
  async chat({ seat, turns, tuned }) {
    if (writer?.seat !== seat) {
      const at = await here(seat);
      writer = { seat, opened: learnerOf(at).then((ready) => openWriter(ready, at.basics)) };
      const { opened } = writer;
      opened.catch(() => {
        if (writer?.opened === opened) writer = undefined;
      });
    }
    const ready = await writer.opened;
    return ready.answer(turns, tuned, (text) => onEvent({ type: 'piece', text }));
  },
  async stopChat() {
    (await writer?.opened)?.stop();
  },
  forgetLog: async ({ seat }) => forgetSeen(clientStore(await database(), seat)),
  async logEvidence({ seat }) {
    const evidence = await loadEvidence(clientStore(await database(), seat));
    return evidence === undefined ? null : new Blob([evidence.slice()], { type: 'application/json' });
  },
  async adapter({ seat }) {
    const at = await here(seat);
    const recipe = tabRecipe(at.place.manifest);
    const { definition } = await openTexts(await modelParts(at));
    const tuning = bindTuning(recipe, definition, registries);
    return {
      name: `${at.place.manifest.run}-adapter.zip`,
      zip: await adapterZip({ tuning, recipe }, at.basics),
    };
  },
};

function plainError(given: unknown): PlainError {
  const error = known(given);
  const { code = null, hint = null, where = null } = error instanceof HeadwaterError ? error : {};
  return { code, message: messageOf(error), hint, where };
}

/** Browsers say in many places that the disk or the memory is full. */
function known(given: unknown): unknown {
  if (given instanceof HeadwaterError) return given;
  if ((given as { name?: string }).name === 'QuotaExceededError')
    return storageFailed('the disk is full', 'this page', given);
  return isOutOfMemory(given) ? outOfMemory('training', given) : given;
}

self.onmessage = async ({ data: { id, name, input } }: MessageEvent<ToWorker>) => {
  try {
    const act = commands[name] as (input: unknown) => Promise<unknown>;
    tell({ id, value: await act(input) });
  } catch (error) {
    if (!(known(error) instanceof HeadwaterError)) console.error(error);
    tell({ id, error: plainError(error) });
  }
};
