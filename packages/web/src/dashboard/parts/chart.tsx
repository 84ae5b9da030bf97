/** A chart by uPlot and the same numbers as a table, for screen readers and for copying. Colours are those of the page. */

import { useEffect, useId, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { bytes, duration, figure, UNKNOWN } from '../../shared/format.ts';

export interface Series {
  readonly label: string;
  /** One per x; null where there is none. */
  readonly values: readonly (number | null)[];
  /** A level to compare with, dashed. */
  readonly reference?: boolean;
}

export type ChartFormat = 'number' | 'percent' | 'bytes' | 'duration';

export interface ChartProps {
  readonly title: string;
  readonly note?: string | undefined;
  readonly xLabel: string;
  readonly xFormat?: 'count' | 'bytes' | 'duration' | undefined;
  readonly x: readonly number[];
  readonly series: readonly Series[];
  readonly format: ChartFormat;
}

const HEIGHT = 240;
const COLOURS = 10;

export function Chart(props: ChartProps) {
  const { title, note, xLabel, x, series } = props;
  const box = useRef<HTMLDivElement>(null);
  const id = useId();
  useDrawing(box, props);
  return (
    <section className="chart card" aria-labelledby={id}>
      <h3 id={id}>{title}</h3>
      {note !== undefined && <p className="hint">{note}</p>}
      <div className="plot" ref={box} role="img" aria-label={`${title}: ${spoken(props)}`} />
      <ul className="legend" aria-hidden="true">
        {series.map(({ label, reference }, i) => (
          <li key={label} style={{ ['--line' as string]: `var(--c${i % COLOURS})` }} data-dashed={reference}>
            {label}
          </li>
        ))}
      </ul>
      <details>
        <summary>Numbers</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it */}
        <section className="scroll tall" tabIndex={0} aria-label={`Numbers of ${title}`}>
          <table>
            <thead>
              <tr>
                <th scope="col">{xLabel}</th>
                {series.map(({ label }) => (
                  <th scope="col" className="number" key={label}>
                    {label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {x.map((value, i) => (
                <tr key={value}>
                  <th scope="row">{xText(props, value)}</th>
                  {series.map(({ label, values }) => (
                    <td className="number" key={label}>
                      {valueText(props, values[i])}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      </details>
    </section>
  );
}

/** What the picture says, in a sentence. */
function spoken(props: ChartProps): string {
  const said = props.series.slice(0, 5).map(({ label, values }) => {
    const found = values.filter((value) => value !== null);
    return `${label} from ${valueText(props, found[0])} to ${valueText(props, found.at(-1))}`;
  });
  return `${said.join(', ')}. The numbers are below.`;
}

function valueText({ format }: Pick<ChartProps, 'format'>, value: number | null | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  if (format === 'percent') return `${(100 * value).toFixed(1)} %`;
  return { number: figure, bytes, duration }[format](value);
}

function xText({ xFormat = 'count' }: Pick<ChartProps, 'xFormat'>, value: number): string {
  return xFormat === 'count' ? String(value) : { bytes, duration }[xFormat](value);
}

/** Drawn anew when data, width or colours change. */
function useDrawing(box: React.RefObject<HTMLDivElement | null>, props: ChartProps): void {
  const { x, series, format, xFormat } = props;
  const key = JSON.stringify([x, series, format, xFormat]);
  const latest = useRef(props);
  latest.current = props;
  // biome-ignore lint/correctness/useExhaustiveDependencies: `key` stands for all that is drawn
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    let plot = draw(element, latest.current);
    const redraw = () => {
      plot.destroy();
      plot = draw(element, latest.current);
    };
    const resized = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    const dark = window.matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', redraw);
    return () => {
      resized.disconnect();
      dark.removeEventListener('change', redraw);
      plot.destroy();
    };
  }, [box, key]);
}

function draw(element: HTMLElement, props: ChartProps): uPlot {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour('--quiet'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { stroke: colour('--line') },
  };
  const { x, series } = props;
  const few = x.length < 30;
  const options: uPlot.Options = {
    width: Math.max(element.clientWidth, 200),
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 7 } },
    scales: { x: { time: false, range: (_, low, high) => xRange(low, high) }, y: { range: yRange } },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map((tick) => tickText(props, tick)), space: 56, size: 34 },
      { ...axis, values: (_, ticks) => ticks.map((tick) => valueText(props, tick)), size: 68 },
    ],
    series: [
      {},
      ...series.map(({ label, reference }, i) => ({
        label,
        stroke: colour(`--c${i % COLOURS}`),
        width: reference ? 1.5 : 2,
        ...(reference ? { dash: [6, 4] } : {}),
        points: { show: few && !reference, size: 5 },
        spanGaps: true,
      })),
    ],
    plugins: [tooltip(props)],
  };
  return new uPlot(
    options,
    [x as number[], ...series.map(({ values }) => values as (number | null)[])],
    element,
  );
}

function tickText(props: ChartProps, tick: number): string {
  if ((props.xFormat ?? 'count') === 'count') return Number.isInteger(tick) ? String(tick) : '';
  return xText(props, tick);
}

function xRange(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0, 1];
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

/** Down to zero, where that does not flatten the line. */
function yRange(_: uPlot, low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0, 1];
  const span = high - low || Math.abs(high) || 1;
  return [low >= 0 && low < 2 * span ? 0 : low - 0.1 * span, high + 0.08 * span];
}

/** The values under the pointer. */
function tooltip(props: ChartProps): uPlot.Plugin {
  const box = document.createElement('div');
  box.className = 'tooltip';
  box.hidden = true;
  return {
    hooks: {
      init: (plot) => void plot.over.append(box),
      setCursor(plot) {
        const { idx, left = 0 } = plot.cursor;
        const at = idx ?? -1;
        box.hidden = at < 0 || left < 0;
        if (box.hidden) return;
        const lines = props.series.map(({ label, values }) => `${label}: ${valueText(props, values[at])}`);
        box.textContent = [`${props.xLabel} ${xText(props, props.x[at]!)}`, ...lines.slice(0, 12)].join('\n');
        box.style.translate =
          left > plot.over.clientWidth / 2 ? `calc(${left}px - 100% - 12px)` : `${left + 12}px`;
      },
    },
  };
}
