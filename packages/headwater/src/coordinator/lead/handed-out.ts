/**
 * How long clients take over their tasks, seen from here: from the first answer that held the task to the moment an update is
 * offered. Owners tell nothing for it. In memory: after a restart the times of open tasks are unknown.
 */

export interface HandedOut {
  /** A task went to the client; the same one again changes nothing. */
  give(clientId: string, taskId: string, nowMs: number): void;
  /** The client has finished it and wants to send; the first time counts. */
  offer(clientId: string, taskId: string, nowMs: number): void;
  /** Of its training for the round; undefined: not known. */
  answeredMs(clientId: string, round: number): number | undefined;
}

interface Given {
  readonly taskId: string;
  readonly sinceMs: number;
  readonly offeredMs: number | undefined;
}

export function createHandedOut(): HandedOut {
  /** A client has one task at a time. */
  const byClient = new Map<string, Given>();
  return {
    give(clientId, taskId, nowMs) {
      if (byClient.get(clientId)?.taskId !== taskId)
        byClient.set(clientId, { taskId, sinceMs: nowMs, offeredMs: undefined });
    },
    offer(clientId, taskId, nowMs) {
      const given = byClient.get(clientId);
      if (given?.taskId === taskId && given.offeredMs === undefined)
        byClient.set(clientId, { ...given, offeredMs: nowMs });
    },
    answeredMs(clientId, round) {
      const given = byClient.get(clientId);
      return given?.taskId.startsWith(`train/${round}/`) && given.offeredMs !== undefined
        ? given.offeredMs - given.sinceMs
        : undefined;
    },
  };
}
