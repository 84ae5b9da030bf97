/** A chat with the tuned model, in this browser; the model as it was before answers for comparison. */

import { type FormEvent, useEffect, useState } from 'react';
import type { ChatTurn } from '../messages.ts';
import type { Tab } from '../use-tab.ts';
import { Problem } from './problem.tsx';

export function Chat({ tab }: { readonly tab: Tab }) {
  const { seat, call, onPiece } = tab;
  const [turns, setTurns] = useState<readonly ChatTurn[]>([]);
  const [text, setText] = useState('');
  const [growing, setGrowing] = useState<string | undefined>(undefined);
  const [tuned, setTuned] = useState(true);
  const [error, setError] = useState<unknown>(undefined);
  useEffect(() => () => onPiece(undefined), [onPiece]);
  if (seat === undefined) return null;
  const ask = async (event: FormEvent) => {
    event.preventDefault();
    if (text.trim() === '' || growing !== undefined) return;
    const asked: readonly ChatTurn[] = [...turns, { role: 'user', content: text }];
    setTurns(asked);
    setText('');
    setError(undefined);
    setGrowing('');
    onPiece((piece) => setGrowing((before) => (before ?? '') + piece));
    try {
      const content = await call('chat', { seat: seat.id, turns: asked, tuned });
      setTurns([...asked, { role: 'assistant', content }]);
    } catch (cause) {
      setError(cause);
    } finally {
      setGrowing(undefined);
    }
  };
  return (
    <section className="card stack" aria-labelledby="try">
      <h2 id="try">Try it</h2>
      <p className="hint">
        The model answers in this browser. What you write is sent nowhere and is not kept.
      </p>
      <div role="log" aria-label="Conversation" className="stack tight">
        {turns.map((turn, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: turns do not move
          <Turn key={i} turn={turn} />
        ))}
      </div>
      {growing !== undefined && (
        <Turn turn={{ role: 'assistant', content: growing === '' ? '…' : growing }} />
      )}
      {error !== undefined && <Problem error={error} />}
      <form className="stack tight" onSubmit={ask}>
        <label htmlFor="question">Your message</label>
        <textarea id="question" rows={2} value={text} onChange={(event) => setText(event.target.value)} />
        <div className="row">
          <button type="submit" className="primary" disabled={growing !== undefined}>
            Send
          </button>
          {growing !== undefined && (
            <button type="button" onClick={() => void call('stopChat', null)}>
              Stop
            </button>
          )}
          <button type="button" disabled={growing !== undefined} onClick={() => setTurns([])}>
            Begin anew
          </button>
          <label className="check">
            <input type="checkbox" checked={!tuned} onChange={({ target }) => setTuned(!target.checked)} />
            The model as it was before the run
          </label>
        </div>
      </form>
    </section>
  );
}

function Turn({ turn: { role, content } }: { readonly turn: ChatTurn }) {
  return (
    <div className={`turn ${role}`}>
      <span className="hint">{role === 'user' ? 'You' : 'The model'}</span>
      <p className="lines">{content}</p>
    </div>
  );
}
