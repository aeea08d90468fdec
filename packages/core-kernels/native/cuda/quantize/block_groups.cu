// Quantization of a matrix where a group fills a thread block, or more than one.
#include "cuda/quantize/block_groups.cuh"

namespace qutlass::cuda {

void enqueue_squares(CudaStream& s, const QuantizeJob<DenseInput>& job) {
  const BlockJob<DenseInput, Squares> block{
      job.in, kernel_rotation(job.rotation), job.out, Squares(job.out.rows, job.out.cols), nullptr, 0};
  with_rotation(job.rotation, [&](auto constant) {
    constexpr RotateBy kBy = constant();
    // Hadamard matrices that need a block cross squares.
    if constexpr (kBy != RotateBy::kBlock)
      launch_block_groups<kBy, matrix_size(kBy) ? kTilesBy<kBy> : 4>(s, block);
  });
}

bool group_fits_block(const qutlass_rotation& rotation, int64_t elements) {
  const int given = given_tiles(rotation);
  return elements <= (given ? given : 4) * kMostThreads * kTile;
}

void enqueue_block_groups(CudaStream& s, const QuantizeJob<DenseInput>& job, const LongGroups& groups) {
  launch_whole_groups(s, job, groups.groups, groups.elements);
}

void enqueue_long_groups(CudaStream& s, const QuantizeJob<DenseInput>& job, const LongGroups& groups,
                         const GroupRange* partial) {
  const int given = given_tiles(job.rotation), tiles = given ? given : 2;
  const int least = rotate_by(job.rotation) == RotateBy::kBlock ? job.rotation.size : 0;
  const int32_t length = std::max(256 * tiles * kTile, least);
  launch_block_groups(s, job, Spans(groups.groups, groups.elements, length), tiles, partial,
                      groups.blocks_per_group());
}

}  // namespace qutlass::cuda
