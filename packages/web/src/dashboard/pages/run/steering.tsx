/** What an operator does to a run that goes on. */

import type { RunSummary } from '@headwater/runs/view/summaries.ts';
import { post } from '../../data/api.ts';
import { Confirm } from '../../parts/confirm.tsx';

export function Steering({ summary: { run, status } }: { readonly summary: RunSummary }) {
  const act = (what: string) => () => post(`/runs/${encodeURIComponent(run)}/${what}`);
  return (
    <div className="row">
      {status === 'paused' ? (
        <Confirm
          label="Resume"
          question={`Resume ${run}?`}
          explanation="Owners are asked again; deadlines begin anew."
          act={act('resume')}
        />
      ) : (
        <Confirm
          label="Pause"
          question={`Pause ${run}?`}
          explanation="No work is handed out until you resume it. Updates under way are still taken."
          act={act('pause')}
        />
      )}
      {status !== 'waiting' && (
        <Confirm
          label="Stop"
          question={`Stop ${run} after this round?`}
          explanation="The open round is closed, the adapter so far is tested and published, and no other round is opened."
          act={act('stop')}
        />
      )}
      <Confirm
        label="Cancel"
        danger
        question={`Cancel ${run}?`}
        explanation="The run ends at once and without a result. This cannot be undone."
        act={act('cancel')}
      />
    </div>
  );
}
