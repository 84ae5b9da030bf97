/**
 * Shows a run while it works: in a terminal one live line (round, clients, tokens/s, time left) below lines that stay;
 * elsewhere only the lines. Everything goes to stderr, so that stdout holds results alone.
 */

import { MultiBar, type SingleBar } from 'cli-progress';
import { formatCount, formatDuration } from '../base/format.ts';
import type { Amount, OnProgress, Progress } from '../jobs/progress.ts';
import { progressLines } from './progress-lines.ts';
import { measureSpeed, type Speed } from './speed.ts';

export interface Display {
  readonly onProgress: OnProgress;
  /** A line that stays. */
  readonly say: (line: string) => void;
  /** Takes the live line away. */
  stop(): void;
}

export interface DisplayOptions {
  readonly stream: NodeJS.WriteStream;
  readonly nowMs: () => number;
}

export function createDisplay(options: DisplayOptions): Display {
  return options.stream.isTTY ? liveDisplay(options) : lineDisplay(options.stream);
}

function lineDisplay(stream: NodeJS.WritableStream): Display {
  const lineOf = progressLines();
  const say = (line: string) => void stream.write(`${line}\n`);
  return {
    onProgress(progress) {
      const line = lineOf(progress);
      if (line !== undefined) say(line);
    },
    say,
    stop() {},
  };
}

interface Live {
  readonly speed: Speed;
  readonly total: Amount;
  readonly rounds: number;
  readonly cohortSize: number;
  done: Amount;
  /** Steps taken by each client or baseline at work. */
  readonly working: Map<string, number>;
  round: number;
  updates: number;
}

const FORMAT = '{bar} {percentage} %  {where}  {speed}{left}';

function liveDisplay({ stream, nowMs }: DisplayOptions): Display {
  const bars = new MultiBar({
    stream,
    format: FORMAT,
    barsize: 24,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    clearOnComplete: true,
    emptyOnZero: true,
    fps: 8,
  });
  const lineOf = progressLines();
  let bar: SingleBar | undefined;
  let live: Live | undefined;
  let stopped = false;
  const show = () => {
    if (live !== undefined)
      bar?.update(Math.round(100 * live.speed.share(live.done, live.total)), payload(live, nowMs()));
  };
  const say = (line: string) => {
    if (bar === undefined || stopped) stream.write(`${line}\n`);
    else bars.log(`${line}\n`);
  };
  return {
    say,
    onProgress(progress) {
      const line = lineOf(progress);
      if (line !== undefined) say(line);
      if (progress.type === 'opened') {
        live = opened(progress, measureSpeed(progress.done, nowMs()));
        bar = bars.create(100, 0, payload(live, nowMs()));
      }
      if (live !== undefined) follow(live, progress, nowMs());
      show();
    },
    stop() {
      if (!stopped) bars.stop();
      stopped = true;
    },
  };
}

function opened(progress: Progress & { type: 'opened' }, speed: Speed): Live {
  const { total, rounds, cohortSize, done } = progress;
  return { speed, total, rounds, cohortSize, done, working: new Map(), round: 0, updates: 0 };
}

function follow(live: Live, progress: Progress, nowMs: number): void {
  if (progress.type === 'step') {
    live.speed.step(progress.report.numTokens, nowMs);
    live.done = progress.done;
    if (progress.work.kind === 'train') startRound(live, progress.work.round);
    const name = nameOf(progress.work);
    if (name !== undefined) live.working.set(name, (live.working.get(name) ?? 0) + 1);
  }
  if (progress.type === 'work-done') {
    live.done = progress.done;
    const name = nameOf(progress.work);
    if (name !== undefined) live.working.delete(name);
    if (progress.event.type === 'update-received') live.updates++;
  }
}

function startRound(live: Live, round: number): void {
  if (live.round === round) return;
  live.round = round;
  live.updates = 0;
}

function nameOf(work: (Progress & { type: 'step' })['work']): string | undefined {
  if (work.kind === 'train') return work.owner;
  return work.kind === 'train-arm' ? work.arm : undefined;
}

function payload(live: Live, nowMs: number): Record<string, string> {
  const { speed, done, total, round, rounds, updates, cohortSize, working } = live;
  const left = speed.leftMs(done, total, nowMs);
  const rate = speed.tokensPerSecond(nowMs);
  const names = [...working.keys()].slice(0, 2).join(', ');
  const clients = round === 0 ? '' : `round ${round}/${rounds}  ${updates}/${cohortSize} clients`;
  return {
    where: [clients, names].filter(Boolean).join('  '),
    speed: rate === 0 ? '' : `${formatCount(rate)} tokens/s`,
    left: left === undefined ? '' : `  ${formatDuration(left)} left`,
  };
}
