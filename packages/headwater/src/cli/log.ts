/** The log of long-running commands: one JSON object a line, as pino writes it. It knows no events. */

import type { Log } from '../coordinator/ports.ts';

export const LOG_LEVELS = ['info', 'warn', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  readonly level?: LogLevel;
  /** 1: stdout, 2: stderr. Default: stdout. */
  readonly descriptor?: 1 | 2;
}

export async function openLog({ level = 'info', descriptor = 1 }: LogOptions = {}): Promise<Log> {
  // Loaded only by commands that log.
  const { pino } = await import('pino');
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  const logger = pino(options, pino.destination({ dest: descriptor, sync: true }));
  return {
    info: (event, fields) => logger.info({ event, ...fields }),
    warn: (event, fields) => logger.warn({ event, ...fields }),
  };
}
