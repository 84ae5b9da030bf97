import { expect, test } from 'vitest';
import { fourier } from './fft.ts';

function example(n: number) {
  const re = Float64Array.from({ length: n }, (_, j) => Math.sin(3 * j * j));
  const im = Float64Array.from({ length: n }, (_, j) => Math.cos(j ** 3));
  return { re, im };
}

test.each([4, 8, 64])('%d points as by the definition', (n) => {
  const x = example(n);
  const fast = example(n);
  fourier(fast);
  for (let k = 0; k < n; k++) {
    let [re, im] = [0, 0];
    for (let j = 0; j < n; j++) {
      const angle = (-2 * Math.PI * ((j * k) % n)) / n;
      re += x.re[j]! * Math.cos(angle) - x.im[j]! * Math.sin(angle);
      im += x.re[j]! * Math.sin(angle) + x.im[j]! * Math.cos(angle);
    }
    expect(fast.re[k]).toBeCloseTo(re, 11);
    expect(fast.im[k]).toBeCloseTo(im, 11);
  }
});

test('there and back', () => {
  const back = example(4096);
  fourier(back);
  fourier(back, 'inverse');
  const x = example(4096);
  const errors = back.re.map((re, j) => Math.abs(re - x.re[j]!) + Math.abs(back.im[j]! - x.im[j]!));
  expect(Math.max(...errors)).toBeLessThan(1e-14);
});
