/** Wake-ups within one process. They know only topics. */

import type { Wakeups } from './store.ts';

export function localWakeups(): Wakeups {
  const listeners = new Map<string, Set<() => void>>();
  return {
    async publish(topic) {
      // Later, so that no listener runs inside the publisher.
      for (const listener of listeners.get(topic) ?? [])
        queueMicrotask(() => {
          if (listeners.get(topic)?.has(listener)) listener();
        });
    },
    subscribe(topic, listener) {
      // Its own function: the same listener may subscribe twice.
      const own = () => listener();
      const set = listeners.get(topic) ?? new Set<() => void>();
      listeners.set(topic, set.add(own));
      return () => {
        set.delete(own);
        if (set.size === 0 && listeners.get(topic) === set) listeners.delete(topic);
      };
    },
  };
}
