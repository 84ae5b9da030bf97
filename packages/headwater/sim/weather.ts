/** What goes wrong when: the faults of a scenario as answers to the questions of disks, links and networks. */

import type { Rng } from '../src/base/random.ts';
import type { DiskFaults, DiskOperation } from './disk.ts';
import type { LinkFaults } from './distant.ts';
import type { Life } from './life.ts';
import { FATES, type NetworkFaults } from './network.ts';
import type { Processes } from './processes.ts';
import type { CrashScenario, Scenario, Spell } from './scenario.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface Weather {
  readonly network: NetworkFaults;
  readonly link: LinkFaults;
  readonly disk: DiskFaults;
  /** A durable act of a process; it may be its last. */
  readonly point: (when: 'before' | 'after', act: string, life: Life) => void;
}

/** Acts at which a crash is worth trying. */
const DISK_ACTS: ReadonlySet<DiskOperation> = new Set([
  'write',
  'sync',
  'rename',
  'syncFolder',
  'truncate',
  'remove',
]);
const LINK_ACTS = /append|put|seal|open|acquire|renew|release|save|delete|finish|stream/;

export function createWeather(
  scenario: Scenario,
  time: VirtualTime,
  random: Rng,
  processes: Processes,
): Weather {
  const { rates, partitions, slowDisk, fullDisk, crashes, healsAtMs, stalls, cutOff } = scenario;
  const healed = () => time.nowMs >= healsAtMs;
  const during = ({ fromMs, untilMs }: Spell) => !healed() && time.nowMs >= fromMs && time.nowMs < untilMs;
  const isOf = (spell: Spell & { readonly process: string }, life: Life) =>
    spell.process === life.name && during(spell);
  const chance = (rate: number) => rate > 0 && !healed() && random.uniform() < rate;
  const waiting = new Set<CrashScenario>(crashes);
  const acts = new Map<string, number>();

  function point(when: 'before' | 'after', _act: string, life: Life): void {
    if (healed()) return;
    if (when === 'before') acts.set(life.name, (acts.get(life.name) ?? 0) + 1);
    for (const crash of waiting) {
      const { trigger, process, downMs, how } = crash;
      if (process !== life.name || !('act' in trigger)) continue;
      if (trigger.when !== when || trigger.act > acts.get(life.name)!) continue;
      waiting.delete(crash);
      processes.crash(process, downMs, how);
      return;
    }
  }

  for (const { trigger, process, downMs, how } of crashes)
    if ('atMs' in trigger) time.after(trigger.atMs, () => processes.crash(process, downMs, how));

  for (const { process, fromMs, untilMs } of stalls)
    time.after(fromMs, () => {
      const life = processes.lifeOf(process);
      if (life?.alive === true) life.stalledUntilMs = Math.min(untilMs, healsAtMs);
    });

  return {
    point,
    network: {
      fate: () => (chance(rates.network) ? FATES[1 + random.below(FATES.length - 1)]! : 'fine'),
      parted: (client, endpoint) =>
        partitions.some((part) => part.owner === client && part.place === endpoint && during(part)),
    },
    link: {
      lost(life) {
        if (cutOff.some((spell) => !spell.held && isOf(spell, life))) return 'request';
        return chance(rates.link) ? (random.uniform() < 0.5 ? 'request' : 'answer') : undefined;
      },
      slowness: () => (chance(rates.link) ? 1000 : 1),
      lateness(life) {
        const held = cutOff.find((spell) => spell.held && isOf(spell, life));
        if (held !== undefined) return Math.min(held.untilMs, healsAtMs) - time.nowMs;
        return chance(rates.link / 4) ? 40_000 * random.uniform() : 0;
      },
      point: (when, name, life) => LINK_ACTS.test(name) && point(when, name, life),
    },
    disk: {
      error(operation) {
        const grows = operation === 'write' || operation === 'open' || operation === 'makeFolder';
        if (grows && fullDisk.some(during)) return 'ENOSPC';
        return operation !== 'close' && chance(rates.diskError) ? 'EIO' : undefined;
      },
      slowness: () => (slowDisk.some(during) ? 200 : 1),
      point: (when, operation, path, life) =>
        DISK_ACTS.has(operation) && point(when, `${operation} ${path}`, life),
    },
  };
}
