import { type Device, type DType, type FloatDType, Tensor } from '@qutlass/core-kernels';
import {
  codeDType,
  ELEMENTS,
  hasGlobalScale,
  paddedCols,
  QuantizedTensor,
  rowScales,
  type ScaleDType,
  scaleShape,
} from '@qutlass/quant';
import { QuantLinear } from '../modules/quant-linear.js';
import { checkpointError } from './errors.js';
import type { QuantizedModule } from './quantization-config.js';
import type { SafetensorsDtype } from './safetensors-dtype.js';
import type { TensorReader } from './safetensors-reader.js';
import type { TensorToWrite } from './safetensors-writer.js';

const SAFETENSORS_OF: Readonly<Record<DType, SafetensorsDtype>> = {
  f32: 'F32',
  bf16: 'BF16',
  f16: 'F16',
  i32: 'I32',
  i8: 'I8',
  u8: 'U8',
  f8e4m3: 'F8_E4M3',
  f8e5m2: 'F8_E5M2',
  f8e8m0: 'F8_E8M0',
};

/** A tensor as the writer takes it; its data are read from the device when their turn comes. */
export function tensorToWrite(name: string, tensor: Tensor): TensorToWrite {
  return { name, dtype: SAFETENSORS_OF[tensor.dtype], shape: tensor.shape, data: () => tensor.toBytes() };
}

/** The tensors that store a quantized weight: `<name>.codes`, `.scales`, and those of the format. */
export function* quantizedTensorsToWrite(name: string, weight: QuantizedTensor): Generator<TensorToWrite> {
  yield tensorToWrite(`${name}.codes`, weight.codes);
  yield tensorToWrite(`${name}.scales`, weight.scales);
  if (weight.zeroPoints) yield tensorToWrite(`${name}.zero_points`, weight.zeroPoints);
  if (weight.globalScale) yield tensorToWrite(`${name}.global_scale`, weight.globalScale);
}

/**
 * Reads a {@link QuantLinear} that {@link quantizedTensorsToWrite} stored under `<path>.weight`.
 * @param shape [outFeatures, inFeatures] that the model needs
 * @throws QutlassError `QUTLASS_E_CHECKPOINT` if a part is missing or of another dtype or shape
 */
export async function readQuantLinear(
  files: Pick<TensorReader, 'info' | 'read'>,
  path: string,
  { format, activations, rotation, inFeatures }: QuantizedModule,
  shape: readonly [outFeatures: number, inFeatures: number],
  device: Device,
  bias: Tensor<FloatDType> | undefined,
): Promise<QuantLinear> {
  const [rows] = shape;
  if (inFeatures !== shape[1]) {
    throw checkpointError(path, `expected in_features ${shape[1]} from config.json, got ${inFeatures}`);
  }
  const operands = activations ? [format, activations] : [format];
  const cols = operands.reduce((k, operand) => paddedCols(operand, k, rotation?.size), inFeatures);
  const groups = scaleShape(format, rows, cols);
  const packed = ELEMENTS[format.element].bits === 4 ? 2 : 1;
  const read: Tensor[] = [];
  const part = async <D extends DType>(
    name: string,
    dtype: D,
    extents: readonly number[],
  ): Promise<Tensor<D>> => {
    const tensor = await readPart(files, `${path}.weight.${name}`, dtype, extents, device);
    read.push(tensor);
    return tensor;
  };
  try {
    const weight = new QuantizedTensor(format, {
      rows,
      cols,
      codes: await part('codes', codeDType(format), [rows, cols / packed]),
      scales: rowScales(await part<ScaleDType>('scales', format.scaleDType, groups)),
      scaleLayout: 'row',
      zeroPoints: format.zeroPoint
        ? await part('zero_points', format.element === 'int8' ? 'i8' : 'u8', groups)
        : undefined,
      globalScale: hasGlobalScale(format) ? await part('global_scale', 'f32', [1]) : undefined,
      rotation,
    });
    return new QuantLinear({ weight, inFeatures, activations, ...(bias && { bias }) });
  } catch (error) {
    for (const tensor of read) tensor.dispose();
    throw error;
  }
}

async function readPart<D extends DType>(
  files: Pick<TensorReader, 'info' | 'read'>,
  name: string,
  dtype: D,
  shape: readonly number[],
  device: Device,
): Promise<Tensor<D>> {
  const info = files.info(name);
  if (info.dtype !== SAFETENSORS_OF[dtype] || info.shape.join() !== shape.join()) {
    throw checkpointError(
      `tensor ${JSON.stringify(name)}`,
      `expected ${SAFETENSORS_OF[dtype]} [${shape.join(', ')}], got ${info.dtype} [${info.shape.join(', ')}]`,
    );
  }
  return Tensor.fromBytes(await files.read(name), { shape, dtype, device });
}
