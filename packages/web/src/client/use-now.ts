/** The time, told every second while somebody counts. */

import { useEffect, useState } from 'react';

export function useNow(isCounting: boolean): number {
  const [nowMs, setNow] = useState(Date.now);
  useEffect(() => {
    if (!isCounting) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [isCounting]);
  return nowMs;
}
