import { Device } from '../src/index.js';

/** Kernels of the device of this run that every machine with such a device has, by what they are for. */
export const NAMES =
  Device.default.kind === 'cpu'
    ? { dense: 'cpu.f32.generic', integer: 'cpu.i32.generic', reference: 'cpu.reference' }
    : { dense: 'cuda.f32.mma', integer: 'cuda.i32.mma', reference: 'cuda.reference' };
