/** The log of long-running commands: one JSON object a line on stdout, as pino writes it. It knows no events. */

import type { Log } from '../coordinator/ports.ts';

export async function openLog(): Promise<Log> {
  // Loaded only by commands that log.
  const { pino } = await import('pino');
  const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime });
  return {
    info: (event, fields) => logger.info({ event, ...fields }),
    warn: (event, fields) => logger.warn({ event, ...fields }),
  };
}
