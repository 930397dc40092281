// Charts over time, as SVG. Each has its summary as a label and its numbers as a table.
import { aside, h, s, table } from './dom.js';
import { clockTime, span } from './words.js';

const WIDTH = 600;
const HEIGHT = 120;
/** More points than this are noise to the eye, and more rows than that to the ear. */
const POINTS = 170;
const ROWS = 12;

const mean = (known) => known.reduce((a, b) => a + b, 0) / known.length;
export const largest = (known) => Math.max(...known);

/** A chart of lines.
 *
 * `series` is [{name, class, values}], of equal steps that end at `until`; null is a gap. `format` puts a value in
 * words, `join` makes one value of neighbours where there are more than can be shown, `at` puts a time in words. */
export function chart({ title, series: all, stepSeconds: step, until, format, join = mean, at = clockTime }) {
  const steps = Math.max(0, ...all.map((each) => each.values.length));
  const size = Math.max(1, Math.ceil(steps / POINTS));
  const stepSeconds = step * size;
  const series = all.map((each) => ({ ...each, values: joined(each.values, size, join) }));
  const length = Math.ceil(steps / size);
  if (length < 2) {
    return h('figure', { class: 'chart' },
      h('figcaption', null, title),
      aside('Nothing to draw yet: the history begins when the watcher starts.'));
  }
  const end = Date.parse(until);
  const timeOf = (i) => at(end - (length - 1 - i) * stepSeconds * 1000);
  const top = ceiling(Math.max(0, ...series.flatMap(({ values }) => values.filter((v) => v !== null))));
  const spans = (texts, props) => h('div', { 'aria-hidden': 'true', ...props }, texts.map((text) => h('span', null, text)));
  const level = (y) => s('line', { class: 'grid', x1: 0, x2: WIDTH, y1: y, y2: y });

  const drawing = s('svg', {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: 'none',
    role: 'img',
    'aria-label': `${title}, the last ${span(steps * step)}. ${all.map((each) => summary(each, format)).join(' ')}`,
    onpointermove: ({ currentTarget, clientX }) => {
      const { left, width } = currentTarget.getBoundingClientRect();
      const i = Math.max(0, Math.min(length - 1, Math.round(((clientX - left) / width) * (length - 1))));
      const values = series.map((each) => `${each.name} ${told(each.values[i], format)}`);
      point(currentTarget, (i / (length - 1)) * WIDTH, `${timeOf(i)}  ${values.join(', ')}`);
    },
    onpointerleave: ({ currentTarget }) => point(currentTarget, -9, '\u00a0'),
  },
    [1, HEIGHT / 2, HEIGHT - 1].map(level),
    series.map((each) => s('path', { class: `line ${each.class}`, d: path(each.values, top) })),
    s('line', { class: 'cross', y1: 0, y2: HEIGHT, x1: -9, x2: -9 }));

  return h('figure', { class: 'chart' },
    h('figcaption', null, title),
    h('ul', { class: 'legend', 'aria-label': 'Latest values' }, series.map((each) => h('li', null,
      s('svg', { viewBox: '0 0 24 8', width: 24, height: 8, 'aria-hidden': 'true' },
        s('path', { class: `line ${each.class}`, d: 'M1 4H23' })),
      ` ${each.name} `, h('b', null, told(each.values.at(-1), format))))),
    h('div', { class: 'plot' },
      spans([top, top / 2, 0].map(format), { class: 'scale' }),
      drawing,
      spans([0, (length - 1) / 2, length - 1].map(timeOf), { class: 'times' })),
    h('p', { class: 'readout', 'aria-hidden': 'true' }, '\u00a0'),
    h('details', { class: 'numbers' },
      h('summary', null, 'As a table'),
      table(title, ['Until', ...series.map(({ name }) => name)], rows(series, length, join, timeOf, format))));
}

/** Show where the pointer is, and what stands there. */
function point(drawing, x, says) {
  for (const end of ['x1', 'x2']) drawing.lastElementChild.setAttribute(end, x);
  drawing.closest('figure').querySelector('.readout').textContent = says;
}

const told = (value, format) => (value === null || value === undefined ? '–' : format(value));

function summary({ name, values }, format) {
  const known = values.filter((v) => v !== null);
  if (!known.length) return `${name}: not known.`;
  const [lowest, highest] = [Math.min(...known), Math.max(...known)].map(format);
  return `${name}: lowest ${lowest}, highest ${highest}, latest ${told(values.at(-1), format)}.`;
}

// From the end backwards, so that the latest values make a whole one.
function joined(values, size, join) {
  const found = [];
  for (let end = values.length; end > 0; end -= size) {
    const known = values.slice(Math.max(0, end - size), end).filter((v) => v !== null);
    found.unshift(known.length ? join(known) : null);
  }
  return found;
}

function rows(series, length, join, at, format) {
  const size = Math.ceil(length / ROWS);
  const columns = series.map(({ values }) => joined(values, size, join));
  const last = columns[0].length - 1;
  return columns[0].map((_, row) => ({
    cells: [at(length - 1 - (last - row) * size), ...columns.map((column) => told(column[row], format))],
  }));
}

function path(values, top) {
  let drawn = '';
  let pen = 'M';
  values.forEach((value, i) => {
    if (value === null) {
      pen = 'M';
      return;
    }
    const x = (i / (values.length - 1)) * WIDTH;
    const y = HEIGHT - 2 - (value / top) * (HEIGHT - 4);
    // `h0` makes a dot of a value that has no neighbours.
    drawn += `${pen}${x.toFixed(1)} ${y.toFixed(1)}${pen === 'M' ? 'h0' : ''}`;
    pen = 'L';
  });
  return drawn;
}

/** The next round number: 1, 2 or 5 and noughts. */
function ceiling(value) {
  if (value <= 0) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((n) => n * size).find((n) => n >= value * 0.999999);
}

/** Counts per step as rates, in the unit that gives readable numbers. */
export function rates(series, stepSeconds) {
  const most = Math.max(0, ...series.flatMap((each) => each.values)) / stepSeconds;
  const [factor, unit] = most > 0 && most < 1 ? [60, '/min'] : [1, '/s'];
  const digits = (v) => (v === 0 || v >= 10 ? Math.round(v) : Number(v.toFixed(1)));
  return {
    series: series.map((each) => ({ ...each, values: each.values.map((n) => (n / stepSeconds) * factor) })),
    format: (v) => `${digits(v).toLocaleString('en-GB')}${unit}`,
  };
}
