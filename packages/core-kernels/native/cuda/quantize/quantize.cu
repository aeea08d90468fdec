// Quantization: rotate, find the scales, round, pack, write the scales in the layout that was asked for. One
// kernel, in which a group stays on the chip; groups that are too long for that take one more before it, for
// their ranges.
#include "check.h"
#include "cuda/operations.h"
#include "cuda/quantize/quantize.cuh"
#include "cuda/quantize/ranges.h"
#include "cuda/quantize/source.h"
#include "cuda_stream.h"

namespace qutlass::cuda {

void quantize(Stream stream, Tensor x, const qutlass_rotation& rotation, const qutlass_rounding& rounding,
              bool find_global_scale, const qutlass_quantized& out) {
  const bool squares = out.format.group_rows == kSquare, whole_matrix = out.format.group_rows == 0;
  const bool short_groups = !squares && out.format.group_cols != 0;
  const Source source(stream, x, rotation, squares);
  if (find_global_scale && !short_groups_find_scale(source.rotation(), out)) {
    global_scale(stream, x, rotation, out.format, {out.global_scale, QUTLASS_F32, 1, {1}});
    find_global_scale = false;
  }
  const QuantizeJob<DenseInput> job{{source.matrix()}, source.rotation(), rounding, out, find_global_scale};

  const int64_t groups = whole_matrix ? 1 : out.rows;
  const LongGroups x_groups{job.in.x, job.rotation, groups, out.rows * out.cols / groups};
  const bool long_groups = !squares && !short_groups && !group_fits_block(job.rotation, x_groups.elements);
  const DeviceScratch partial(
      stream.device, long_groups ? static_cast<size_t>(x_groups.partial_ranges()) * sizeof(GroupRange) : 0);

  CudaStream& cuda = cuda_stream(stream);
  cuda.run("quantize",
           {x.data, rotation.data, rounding.counter, out.codes, out.scales, out.zero_points, out.global_scale,
            out.clip_mask, source.memory(), partial.as<void>()},
           [&](cudaStream_t s) {
             source.enqueue(s);
             with_rounding(rounding, [&](auto stochastic) {
               if (short_groups) return enqueue_short_groups<stochastic()>(cuda, job);
               if (squares) return enqueue_squares<stochastic()>(cuda, job);
               if (!long_groups) return enqueue_block_groups<stochastic()>(cuda, job, x_groups);
               enqueue_partial_ranges(cuda, x_groups, NonFinite::kCount, !out.format.zero_point,
                                      partial.as<GroupRange>());
               enqueue_long_groups<stochastic()>(cuda, job, x_groups, partial.as<GroupRange>());
             });
           });
}

}  // namespace qutlass::cuda
