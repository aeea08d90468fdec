import { Device } from '@qutlass/core-kernels';
import { describe, expect, it } from 'vitest';
import { gpuState, parseGpuState, visibleId } from './gpu.js';

describe('parseGpuState', () => {
  it('reads a line of nvidia-smi', () => {
    expect(parseGpuState('580.65.06, 1980, 3201, 120.53, 38\n')).toEqual({
      ...{ driver: '580.65.06', clock: 1980, memoryClock: 3201, power: 120.53, temperature: 38 },
    });
  });

  it('leaves open what the driver does not know', () => {
    expect(parseGpuState('580.65.06, [N/A], 3201, [Unknown Error], 38')).toEqual({
      ...{ driver: '580.65.06', clock: null, memoryClock: 3201, power: null, temperature: 38 },
    });
    expect(parseGpuState('[N/A]').driver).toBeNull();
  });
});

it('visibleId follows CUDA_VISIBLE_DEVICES', () => {
  expect(visibleId('cuda:1', {})).toBe('1');
  expect(visibleId('cuda:1', { CUDA_VISIBLE_DEVICES: '3, GPU-5e8a' })).toBe('GPU-5e8a');
  expect(visibleId('cuda:0', { CUDA_VISIBLE_DEVICES: '3' })).toBe('3');
});

it('the CPU has no state of a GPU', async () => {
  expect(await gpuState(Device.open('cpu'))).toBeNull();
});
