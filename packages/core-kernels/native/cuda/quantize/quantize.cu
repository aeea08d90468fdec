// Quantization: rotate, find the scales, round, pack, write the scales in the layout that was asked for. One
// kernel, in which a group stays on the chip; groups that are too long for that take two more, for their
// scales.
#include "check.h"
#include "cuda/operations.h"
#include "cuda/quantize/quantize.cuh"
#include "cuda/quantize/ranges.h"
#include "cuda/quantize/source.h"
#include "cuda_stream.h"

namespace qutlass::cuda {
namespace {

// Tiles of blocked scales that have padding are zeroed before the scales come.
void clear_padding(cudaStream_t s, const qutlass_quantized& out) {
  if (out.scale_layout != QUTLASS_SCALES_BLOCKED_128X4) return;
  const int64_t rows = scale_rows(out), cols = scale_cols(out);
  if (rows % 128 == 0 && cols % 4 == 0) return;
  check(cudaMemsetAsync(out.scales, 0, static_cast<size_t>(blocked_bytes(rows, cols)), s), "quantize");
}

}  // namespace

void quantize(Stream stream, Tensor x, const qutlass_rotation& rotation, const qutlass_quantized& out) {
  const bool squares = out.format.group_rows == kSquare, whole_matrix = out.format.group_rows == 0;
  const bool short_groups = !squares && out.format.group_cols != 0;
  const Source source(stream, x, rotation, squares);
  const QuantizeJob job{source.matrix(), source.rotation(), out};

  const bool long_groups = whole_matrix || (!squares && !short_groups && !row_fits_block(job));
  const int64_t groups = whole_matrix ? 1 : out.rows;
  const LongGroups x_groups{job.x, job.rotation, groups, out.rows * out.cols / groups};
  const DeviceScratch partial(
      stream.device, long_groups ? static_cast<size_t>(x_groups.partial_ranges()) * sizeof(GroupRange) : 0);
  const DeviceScratch scales(stream.device,
                             long_groups ? static_cast<size_t>(groups) * sizeof(GroupScale) : 0);

  cuda_stream(stream).run("quantize",
                          {x.data, rotation.data, out.codes, out.scales, out.zero_points, out.global_scale,
                           out.clip_mask, source.memory(), partial.as<void>(), scales.as<void>()},
                          [&](cudaStream_t s) {
                            source.enqueue(s);
                            clear_padding(s, out);
                            if (short_groups) return enqueue_short_groups(s, job);
                            if (squares) return enqueue_squares(s, job);
                            if (!long_groups) return enqueue_rows(s, job);
                            enqueue_long_group_scales(s, x_groups, partial.as<GroupRange>(), out,
                                                      scales.as<GroupScale>());
                            enqueue_long_groups(s, job, x_groups.elements, scales.as<GroupScale>());
                          });
}

}  // namespace qutlass::cuda
