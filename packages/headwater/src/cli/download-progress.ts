/** Downloads on stderr: a bar in a terminal, one line a file elsewhere. */

import { formatBytes } from '../base/format.ts';
import type { HubProgress } from '../models/hub-node.ts';

export interface DownloadProgress {
  show(progress: HubProgress): void;
  end(): void;
}

export function downloadProgress(stream: NodeJS.WriteStream = process.stderr): DownloadProgress {
  let file = '';
  return {
    show(progress) {
      const started = progress.file !== file;
      file = progress.file;
      if (stream.isTTY) stream.write(`\r\x1b[K${lineOf(progress)}`);
      else if (started) stream.write(`fetching ${progress.repository}/${progress.file}\n`);
    },
    end() {
      if (stream.isTTY && file !== '') stream.write('\r\x1b[K');
    },
  };
}

function lineOf({ repository, file, doneBytes, totalBytes }: HubProgress): string {
  return `fetching ${repository}/${file}  ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`;
}
