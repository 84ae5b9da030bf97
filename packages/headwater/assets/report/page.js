// Draws the charts of a report with uPlot, in the colours of the page, again when theme or width change.
const charts = JSON.parse(document.getElementById('charts').textContent);
const live = new Map();

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function formatter({ format }) {
  if (format === 'percent') return (value) => `${(value * 100).toFixed(1)} %`;
  if (format === 'bytes') return bytes;
  return (value) => Number(value.toPrecision(4)).toString();
}

function bytes(value) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const unit = Math.min(units.length - 1, value < 1 ? 0 : Math.floor(Math.log10(value) / 3));
  return `${Number((value / 1000 ** unit).toPrecision(3))} ${units[unit]}`;
}

function seriesOf(chart, series, index) {
  const stroke = color(`--c${series.color ?? index % 10}`);
  const show = formatter(chart);
  const value = (_, raw) => (raw == null ? '–' : show(raw));
  const few = chart.x.length <= 40;
  const common = { label: series.label, stroke, value };
  if (series.line)
    return {
      ...common,
      stroke: color('--quiet'),
      width: 1,
      dash: [3, 3],
      spanGaps: true,
      points: { show: false },
    };
  if (chart.kind === 'points')
    return { ...common, width: 0, paths: () => null, points: { show: true, size: 9, fill: stroke } };
  if (series.reference) return { ...common, width: 1.5, dash: [6, 4], points: { show: false } };
  if (chart.kind === 'bars')
    return { ...common, fill: stroke, width: 0, paths: beside(chart, index), points: { show: false } };
  return { ...common, width: 2, spanGaps: true, points: { show: few, size: 5, fill: stroke } };
}

// Bars of two series stand side by side, those of one in the middle.
function beside(chart, index) {
  const alone = chart.series.length < 2;
  return uPlot.paths.bars({ size: [alone ? 0.6 : 0.35, 40], align: alone ? 0 : index === 0 ? -1 : 1 });
}

function axes(chart) {
  const axis = {
    stroke: color('--quiet'),
    grid: { stroke: color('--line'), width: 1 },
    ticks: { show: false },
  };
  const show = formatter(chart);
  const whole = (_, splits) => splits.map((value) => (Number.isInteger(value) ? value : ''));
  const sizes = (_, splits) => splits.map((value) => (value == null ? '' : bytes(value)));
  const values = chart.xFormat === 'bytes' ? sizes : whole;
  const logarithmic = { splits: (_, __, low, high) => roundSizes(low, high), filter: (_, splits) => splits };
  const places = chart.xFormat === 'bytes' ? logarithmic : {};
  return [
    { ...axis, label: chart.xLabel, labelSize: 20, size: 28, values, grid: { show: false }, ...places },
    { ...axis, size: 64, values: (_, splits) => splits.map((value) => (value == null ? '' : show(value))) },
  ];
}

// 1, 2 and 5 times the powers of ten in a range of a logarithmic axis.
function roundSizes(low, high) {
  const sizes = [];
  for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10)
    sizes.push(...[1, 2, 5].map((digit) => digit * power));
  return sizes.filter((size) => size >= low && size <= high);
}

// Bands are drawn under the lines, as areas; around points, as bars.
function drawBands(chart) {
  return (plot) => {
    const { ctx } = plot;
    for (const [index, { band }] of chart.series.entries()) {
      if (band === undefined) continue;
      const at = chart.x.map((x, i) => ({
        x: plot.valToPos(x, 'x', true),
        low: band.low[i] == null ? null : plot.valToPos(band.low[i], 'y', true),
        high: band.high[i] == null ? null : plot.valToPos(band.high[i], 'y', true),
      }));
      const known = at.filter(({ low, high }) => low !== null && high !== null);
      const shown = plot.series[index + 1].show;
      if (known.length === 0 || !shown) continue;
      ctx.save();
      ctx.beginPath();
      ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
      ctx.clip();
      ctx.beginPath();
      const stroke = color(`--c${index % 10}`);
      if (chart.kind === 'points') {
        for (const { x, low, high } of known) {
          ctx.moveTo(x, low);
          ctx.lineTo(x, high);
        }
        ctx.strokeStyle = stroke;
        ctx.lineWidth = 2 * devicePixelRatio;
        ctx.stroke();
      } else {
        for (const { x, high } of known) ctx.lineTo(x, high);
        for (const { x, low } of known.toReversed()) ctx.lineTo(x, low);
        ctx.fillStyle = stroke;
        ctx.globalAlpha = 0.14;
        ctx.fill();
      }
      ctx.restore();
    }
  };
}

function xScale(chart) {
  if (chart.xFormat === 'bytes')
    return { time: false, distr: 3, range: (_, low, high) => [(low || 1) / 1.6, (high || 1) * 1.6] };
  const margin = chart.kind === 'bars' ? 0.6 : 0.1;
  return { time: false, range: (_, low, high) => [low - margin, high + margin] };
}

function draw(element) {
  live.get(element)?.destroy();
  const chart = charts[Number(element.dataset.chart)];
  const range = (_, low, high) => yRange(chart, low, high);
  const options = {
    width: Math.max(260, element.clientWidth),
    height: 260,
    scales: {
      x: xScale(chart),
      y: { range },
    },
    axes: axes(chart),
    series: [
      { label: chart.xLabel, value: (_, raw) => (raw == null ? '–' : xText(chart, raw)) },
      ...chart.series.map((series, index) => seriesOf(chart, series, index)),
    ],
    cursor: { drag: { x: false, y: false } },
    hooks: { drawClear: [drawBands(chart)] },
  };
  live.set(element, new uPlot(options, [chart.x, ...chart.series.map(({ values }) => values)], element));
}

function xText(chart, raw) {
  return chart.xFormat === 'bytes' ? bytes(raw) : String(raw);
}

function yRange(chart, lowest, highest) {
  if (lowest == null || highest == null) return [0, 1];
  const edges = chart.series.flatMap(({ band }) => (band ? [...band.low, ...band.high] : []));
  const known = edges.filter((edge) => edge != null);
  const low = Math.min(lowest, ...known);
  const high = Math.max(highest, ...known);
  const margin = (high - low || Math.abs(high) || 1) * 0.08;
  const bottom = chart.zero ? 0 : low - margin;
  return [bottom, high + margin];
}

function drawAll() {
  for (const element of document.querySelectorAll('.chart')) draw(element);
}

const sizes = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries)
    live.get(target)?.setSize({ width: Math.max(260, contentRect.width), height: 260 });
});
drawAll();
for (const element of document.querySelectorAll('.chart')) sizes.observe(element);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
