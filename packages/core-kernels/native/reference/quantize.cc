// Quantization: rotate, find the scales, round, pack, write the scales in the layout that was asked for.
#include <algorithm>
#include <cstring>

#include "check.h"
#include "cpu/vectorized.h"
#include "device.h"
#include "group_scale.h"
#include "numerics/quantized.h"
#include "rotation.h"
#include "rounding.h"
#include "steps.h"

namespace qutlass {
namespace {

struct Job {
  qutlass_tensor x;
  qutlass_rotation rotation;
  qutlass_rounding rounding;
  qutlass_quantized out;

  bool stochastic() const { return rounding.kind == QUTLASS_ROUNDING_STOCHASTIC; }
  float global_scale() const { return out.global_scale ? *out.global_scale : 1.0f; }
};

// The scales of groups of several rows, to `scales` [R, G] and to the output. Ranges per row come first, so
// that the work spreads over rows also when one group is the whole tensor.
void find_shared_scales(Context& context, const Job& job, GroupScale* scales) {
  const qutlass_quantized& out = job.out;
  const int64_t groups = scale_cols(out), width = group_cols(out), height = group_rows(out);
  const Scratch memory(context.memory, static_cast<size_t>(out.rows * groups) * sizeof(GroupRange));
  auto* ranges = memory.as<GroupRange>();
  context.threads.parallel_for(out.rows, rows_per_piece(out.cols), [&](int64_t begin, int64_t end) {
    const RotatedRows rows(context.memory, job.x, job.rotation);
    for (int64_t row = begin; row < end; ++row) {
      const float* x = rows[row];
      for (int64_t g = 0; g < groups; ++g) ranges[row * groups + g] = range_of(x + g * width, width);
    }
  });
  for (int64_t r = 0; r < scale_rows(out); ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      GroupRange range;
      for (int64_t row = r * height; row < std::min((r + 1) * height, out.rows); ++row) {
        range.add(ranges[row * groups + g]);
      }
      const GroupScale scale = scale_from_range(out.format, range, job.global_scale());
      scales[r * groups + g] = scale;
      store_group_scale(out, r, g, scale);
    }
  }
}

// The codes of one row, with the scales of `shared` [G], or with scales found here when it is null. random:
// as for encode_group. Most groups have one of few widths: loops over a number of elements that the compiler
// knows have no ends to take care of.
template <int kWidth, typename... Random>
[[gnu::always_inline]] inline void quantize_row(const Job& job, const GroupScale* shared, int64_t row,
                                                const float* x, uint8_t* codes, const Random*... random) {
  const qutlass_quantized& out = job.out;
  const int64_t groups = scale_cols(out), width = kWidth ? kWidth : group_cols(out);
  const float global_scale = job.global_scale();
  for (int64_t g = 0; g < groups; ++g, x += width, codes += width) {
    GroupScale scale;
    if (shared) {
      scale = shared[g];
    } else {
      scale = group_scale(out.format, x, width, global_scale);
      store_group_scale(out, row, g, scale);
    }
    encode_group(out.format, scale, x, width, codes, (random + g * width)...);
    if (out.clip_mask) clip_mask_group(scale, x, width, out.clip_mask + (row * out.cols + g * width) / 8);
  }
}

template <typename... Random>
void quantize_row(const Job& job, const GroupScale* shared, int64_t row, const float* x, uint8_t* codes,
                  const Random*... random) {
  vectorized([=, job = job] {
    switch (group_cols(job.out)) {
      case 16: return quantize_row<16>(job, shared, row, x, codes, random...);
      case 32: return quantize_row<32>(job, shared, row, x, codes, random...);
      case 128: return quantize_row<128>(job, shared, row, x, codes, random...);
      default: return quantize_row<0>(job, shared, row, x, codes, random...);
    }
  });
}

// Rows [begin, end); shared: scales [R, G] or null.
void quantize_rows(Context& context, const Job& job, const GroupScale* shared, int64_t begin, int64_t end) {
  const qutlass_quantized& out = job.out;
  const bool packed = element_storage_bits(out.format.element) == 4;
  const RotatedRows rows(context.memory, job.x, job.rotation);
  const Scratch unpacked(context.memory, packed ? static_cast<size_t>(out.cols) : 0);
  const Scratch random(context.memory, job.stochastic() ? random_bytes(out.cols) : 0);
  auto* out_codes = static_cast<uint8_t*>(out.codes);
  for (int64_t row = begin; row < end; ++row) {
    uint8_t* codes = packed ? unpacked.as<uint8_t>() : out_codes + row * out.cols;
    const GroupScale* scales = shared ? shared + row / group_rows(out) * scale_cols(out) : nullptr;
    if (const auto* bits = random.as<uint16_t>()) {
      fill_random_bits(job.rounding, row, out.cols, random.as<uint16_t>());
      quantize_row(job, scales, row, rows[row], codes, bits);
    } else {
      quantize_row(job, scales, row, rows[row], codes);
    }
    if (packed) {
      vectorized([=, cols = out.cols] { pack_nibbles(codes, cols / 2, out_codes + row * (cols / 2)); });
    }
  }
}

}  // namespace

Quantization require_quantization(const qutlass_rotation* rotation, const qutlass_rounding* rounding,
                                  int32_t find_global_scale, const qutlass_quantized* out) {
  if (!out) fail(QUTLASS_E_ARGUMENT, "out: expected a quantized matrix, got NULL");
  require_quantized("out", *out);
  require_rotation("rotation", rotation, out->cols);
  if (find_global_scale && !has_global_scale(out->format.rule)) {
    fail(QUTLASS_E_FORMAT, "find_global_scale: expected 0 for a format without a global scale, got %d",
         find_global_scale);
  }
  return {copy_rotation(rotation), require_rounding(rounding), find_global_scale != 0, *out};
}

Quantization require_quantization(const char* name, const qutlass_tensor* x, const qutlass_rotation* rotation,
                                  const qutlass_rounding* rounding, int32_t find_global_scale,
                                  const qutlass_quantized* out) {
  const Quantization quantization = require_quantization(rotation, rounding, find_global_scale, out);
  require_float_tensor(name, x, 2);
  require_shape(name, *x, {out->rows, out->cols});
  return quantization;
}

void quantize(Context& context, const qutlass_tensor& x, const Quantization& quantization) {
  const Job job{x, quantization.rotation, counted(quantization.rounding), quantization.out};
  const qutlass_quantized& out = job.out;
  const int32_t rule = out.format.rule;
  if (quantization.find_global_scale) {
    *out.global_scale = rule == QUTLASS_RULE_MX_ABS_MAX
                            ? kMxAbsMax
                            : nv_global_scale(rule, finite_amax(context, x, job.rotation));
  }
  const int64_t scales = scale_rows(out) * scale_cols(out);
  if (out.scale_layout == QUTLASS_SCALES_BLOCKED_128X4) {
    std::memset(out.scales, 0, static_cast<size_t>(blocked_bytes(scale_rows(out), scale_cols(out))));
  }
  const bool within_rows = group_rows(out) == 1;
  const Scratch memory(context.memory, within_rows ? 0 : static_cast<size_t>(scales) * sizeof(GroupScale));
  auto* shared = memory.as<GroupScale>();
  if (shared) find_shared_scales(context, job, shared);
  context.threads.parallel_for(out.rows, rows_per_piece(out.cols), [&](int64_t begin, int64_t end) {
    quantize_rows(context, job, shared, begin, end);
  });
}

}  // namespace qutlass

extern "C" qutlass_status qutlass_quantize(qutlass_stream* stream, const qutlass_tensor* x,
                                           const qutlass_rotation* rotation, const qutlass_rounding* rounding,
                                           int32_t find_global_scale, const qutlass_quantized* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    const Quantization q = require_quantization("x", x, rotation, rounding, find_global_scale, out);
    if (const auto* gpu = stream->device.operations)
      return gpu->quantize(*stream, *x, q.rotation, q.rounding, q.find_global_scale, *out);
    stream->launch({x->data, q.rotation.data, q.rounding.counter, out->codes, out->scales, out->zero_points,
                    out->global_scale, out->clip_mask},
                   [x = *x, q](Context& context) { quantize(context, x, q); });
  });
}
