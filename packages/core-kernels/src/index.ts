// The native layer of qutlass: devices, streams, tensors, graphs, and the operations as the C ABI has them. Formats and
// quantizers are in @qutlass/quant, matrix multiplication in @qutlass/gemm.

export { Device, type DeviceKind, type DeviceName, type DeviceOptions } from './device.js';
export { type DoctorReport, doctor } from './doctor.js';
export { DTYPES, type DType, type FloatDType, type HostArray, isDType, isFloatDType } from './dtype.js';
export { ERROR_CODES, invalidArgument, QutlassError, type QutlassErrorCode } from './errors.js';
export { Graph } from './graph.js';
export { type LoadAttempt, type LoadReport, loadBinding } from './loader.js';
export type {
  AppendedRows,
  KernelInfo,
  MatmulProblem,
  MemoryStats,
  NativeBinding,
  NativeDeviceInfo,
  NewQuantized,
  QuantizedHandle,
  RotationHandle,
  RoundingHandle,
  StreamHandle,
  TensorHandle,
} from './native.js';
export { copyRows, crop, pad, sliceRows, transpose } from './ops/data.js';
export { checksum, fill, fillRandom, type RandomOptions } from './ops/fill.js';
export {
  add,
  attention,
  crossEntropy,
  embedding,
  kvAppend,
  rmsNorm,
  rope,
  ropeAppend,
  ropeAttention,
  type SamplingOptions,
  sample,
  siluMul,
} from './ops/model.js';
export { tile } from './ops/tile.js';
export { Resource, scope, unscoped } from './resource.js';
export { Event, type RecordOptions, Stream } from './stream.js';
export {
  type DefaultDType,
  produce,
  requireSameDevice,
  shapeText,
  Tensor,
  type TensorOptions,
  type TensorSource,
} from './tensor.js';
