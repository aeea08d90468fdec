import { Device, Tensor } from '@qutlass/core-kernels';
import { expect, it } from 'vitest';
import { Copies, cacheBytesOf } from './copies.js';

const device = Device.open('cpu');

function make(bytes: number, share?: number) {
  const created: Tensor[] = [];
  const copies = Copies.make(
    device,
    () => {
      const tensor = Tensor.empty([bytes], 'u8', device);
      created.push(tensor);
      return tensor;
    },
    share,
  );
  return { created, copies };
}

it('exceeds three caches together and frees all', () => {
  const cache = cacheBytesOf(device);
  const { created, copies } = make(Math.floor(cache / 4));
  expect(created.length * copies.bytesEach).toBeGreaterThan(3 * cache);
  expect(created.length).toBeLessThan(16);
  copies.dispose();
  expect(created.every(({ disposed }) => disposed)).toBe(true);
});

it('exceeds three caches with what calls read of them', () => {
  const { created, copies } = make(4 * 2 ** 20, 0.5);
  const read = created.length * 2 * 2 ** 20;
  expect(read).toBeGreaterThan(3 * cacheBytesOf(device));
  copies.dispose();
});

it('takes turns when cold and stays at one when hot', () => {
  const { created, copies } = make(Math.floor(cacheBytesOf(device) / 2));
  const count = created.length;
  expect(copies.period('cold')).toBe(count);
  expect([0, 1, count - 1, count].map((index) => created.indexOf(copies.at('cold', index)))).toEqual([
    ...[0, 1, count - 1, 0],
  ]);
  expect(copies.period('hot')).toBe(1);
  expect([0, 1, 5].map((index) => created.indexOf(copies.at('hot', index)))).toEqual([0, 0, 0]);
  copies.dispose();
});

it('cannot be hot beyond the cache, and has a few copies all the same', () => {
  const { created, copies } = make(2 * cacheBytesOf(device));
  expect(created).toHaveLength(6);
  expect(copies.period('hot')).toBe(6);
  copies.dispose();
});

it('frees what there is if a copy fails', () => {
  const created: Tensor[] = [];
  const create = () => {
    if (created.length === 2) throw new Error('full');
    const tensor = Tensor.empty([64], 'u8', device);
    created.push(tensor);
    return tensor;
  };
  expect(() => Copies.make(device, create)).toThrow('full');
  expect(created.map(({ disposed }) => disposed)).toEqual([true, true]);
});
