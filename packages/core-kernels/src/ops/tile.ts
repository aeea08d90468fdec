import type { Device } from '../device.js';
import { loadBinding } from '../loader.js';
import type { QuantizedHandle } from '../native.js';
import { produce, type Tensor } from '../tensor.js';

/**
 * A quantized matrix of the device in tiles, the layout in which its kernels stream weights to products with few rows.
 * @throws QutlassError `QUTLASS_E_UNSUPPORTED` where the device or the format has none
 */
export function tile(q: QuantizedHandle, device: Device): Tensor<'u8'> {
  const bytes = loadBinding().tileBytes(device.handle, q);
  return produce([bytes], 'u8', device, (native, stream, out) => native.tile(stream, q, out));
}
