// Which quantized formats exist, and whether a quantized matrix is complete.
#include "numerics/quantized.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>

#include "check.h"

namespace qutlass {
namespace {

// A set of small enumeration values.
class Set {
 public:
  constexpr Set(std::initializer_list<int32_t> values) {
    for (int32_t value : values) bits_ |= 1u << value;
  }
  constexpr bool contains(int32_t value) const { return value >= 0 && value < 32 && (bits_ >> value & 1); }

 private:
  uint32_t bits_ = 0;
};

struct Group {
  int32_t rows, cols;  // as in qutlass_format
};

constexpr Group kMx[] = {{1, 32}};
constexpr Group kNv[] = {{1, 16}};
constexpr Group kTensorOrRow[] = {{0, 0}, {1, 0}};
constexpr Group kFp8[] = {{0, 0}, {1, 0}, {1, 128}, {128, 128}};
constexpr Group kInt4[] = {{1, 32}, {1, 64}, {1, 128}, {1, 0}};
constexpr Group kNf4Groups[] = {{1, 32}, {1, 64}, {1, 128}};

// Every combination of the parts of a family is a format.
struct Family {
  Set elements, scale_dtypes, rules, zero_points;
  const Group* groups;
  size_t group_count;

  template <size_t N>
  constexpr Family(Set e, Set s, Set r, Set z, const Group (&g)[N])
      : elements(e), scale_dtypes(s), rules(r), zero_points(z), groups(g), group_count(N) {}

  bool contains(const qutlass_format& f) const {
    return elements.contains(f.element) && scale_dtypes.contains(f.scale_dtype) && rules.contains(f.rule) &&
           zero_points.contains(f.zero_point) &&
           std::any_of(groups, groups + group_count, [&](const Group& group) {
             return group.rows == f.group_rows && group.cols == f.group_cols;
           });
  }
};

constexpr Family kFamilies[] = {
    // mxfp4
    {{QUTLASS_E2M1},
     {QUTLASS_F8_E8M0},
     {QUTLASS_RULE_MX_FLOOR, QUTLASS_RULE_MX_RCEIL, QUTLASS_RULE_MX_ABS_MAX, QUTLASS_RULE_MX_QUEST},
     {0},
     kMx},
    // mxfp8
    {{QUTLASS_E4M3, QUTLASS_E5M2},
     {QUTLASS_F8_E8M0},
     {QUTLASS_RULE_MX_FLOOR, QUTLASS_RULE_MX_RCEIL},
     {0},
     kMx},
    // nvfp4
    {{QUTLASS_E2M1}, {QUTLASS_F8_E4M3}, {QUTLASS_RULE_NV, QUTLASS_RULE_NV_FOUR_SIX}, {0}, kNv},
    // fp8
    {{QUTLASS_E4M3, QUTLASS_E5M2}, {QUTLASS_F32}, {QUTLASS_RULE_AMAX}, {0}, kFp8},
    // int8
    {{QUTLASS_INT8}, {QUTLASS_F32}, {QUTLASS_RULE_AMAX}, {0, 1}, kTensorOrRow},
    // int4, symmetric and with a zero point
    {{QUTLASS_INT4}, {QUTLASS_F32, QUTLASS_BF16, QUTLASS_F16}, {QUTLASS_RULE_AMAX}, {0}, kInt4},
    {{QUTLASS_UINT4}, {QUTLASS_F32, QUTLASS_BF16, QUTLASS_F16}, {QUTLASS_RULE_AMAX}, {1}, kInt4},
    // nf4
    {{QUTLASS_NF4}, {QUTLASS_F32}, {QUTLASS_RULE_AMAX}, {0}, kNf4Groups},
};

template <size_t N>
const char* name_of(const char* const (&names)[N], int32_t value) {
  return value >= 0 && value < static_cast<int32_t>(N) ? names[value] : "unknown";
}

constexpr const char* kElementNames[QUTLASS_ELEMENT_COUNT] = {"e2m1", "e2m3", "e3m2", "e4m3",  "e5m2",
                                                              "e8m0", "int8", "int4", "uint4", "nf4"};
constexpr const char* kRuleNames[] = {"amax", "floor", "rceil", "abs_max", "quest", "nv", "four_six"};

// A part of a quantized matrix is there exactly when the format has it.
void require_part(const char* name, const char* part, const void* data, bool needed) {
  if (needed && !data)
    fail(QUTLASS_E_ARGUMENT, "%s.%s: expected a pointer for this format, got NULL", name, part);
  if (!needed && data) fail(QUTLASS_E_ARGUMENT, "%s.%s: expected NULL, this format has none", name, part);
}

}  // namespace

void require_format(const char* name, const qutlass_format& f) {
  if (std::any_of(std::begin(kFamilies), std::end(kFamilies),
                  [&](const Family& family) { return family.contains(f); })) {
    return;
  }
  fail(QUTLASS_E_FORMAT,
       "%s: expected a format of mxfp4, mxfp8, nvfp4, fp8, int8, int4 or nf4, got element %s, scale %s, rule "
       "%s, "
       "group %d x %d, zero point %d",
       name, name_of(kElementNames, f.element), dtype_name(f.scale_dtype), name_of(kRuleNames, f.rule),
       f.group_rows, f.group_cols, f.zero_point);
}

void require_quantized(const char* name, const qutlass_quantized& q) {
  require_format(name, q.format);
  const auto rows = static_cast<long long>(q.rows), cols = static_cast<long long>(q.cols);
  if (rows <= 0 || cols <= 0) {
    fail(QUTLASS_E_SHAPE, "%s: expected a matrix with elements, got shape [%lld, %lld]", name, rows, cols);
  }
  if (cols % group_cols(q) != 0) {
    fail(QUTLASS_E_SHAPE, "%s: expected columns in whole groups of %d, got shape [%lld, %lld]", name,
         q.format.group_cols, rows, cols);
  }
  if (element_storage_bits(q.format.element) == 4 && cols % 2 != 0) {
    fail(QUTLASS_E_SHAPE,
         "%s: expected an even number of columns for codes of 4 bits, got shape [%lld, %lld]", name, rows,
         cols);
  }
  if (q.scale_layout != QUTLASS_SCALES_ROW && q.scale_layout != QUTLASS_SCALES_BLOCKED_128X4) {
    fail(QUTLASS_E_ARGUMENT, "%s.scale_layout: expected 0 (row) or 1 (blocked 128x4), got %d", name,
         q.scale_layout);
  }
  if (q.scale_layout == QUTLASS_SCALES_BLOCKED_128X4 && dtype_bytes(q.format.scale_dtype) != 1) {
    fail(QUTLASS_E_FORMAT,
         "%s.scale_layout: expected row for scales in %s, the blocked layout is for scales of a byte", name,
         dtype_name(q.format.scale_dtype));
  }
  require_part(name, "codes", q.codes, true);
  require_part(name, "scales", q.scales, true);
  require_part(name, "zero_points", q.zero_points, q.format.zero_point != 0);
  require_part(name, "global_scale", q.global_scale, has_global_scale(q.format.rule));
  if (q.format.rule != QUTLASS_RULE_MX_QUEST) require_part(name, "clip_mask", q.clip_mask, false);
}

}  // namespace qutlass
