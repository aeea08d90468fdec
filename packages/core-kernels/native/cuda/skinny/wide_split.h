// How a product with some tens of rows of A is divided among multiprocessors.
#pragma once

#include <cuda_runtime.h>

#include <functional>

namespace qutlass::cuda {

struct WideExtent {
  int row_blocks, tiles;
  int blocks;  // of 64 columns of A in a tile
  int tokens;  // rows of A that there is room for
  int chunks;  // of so many rows
};

// What a launch may have.
struct WideLimits {
  int warps;
  bool clusters;
  std::function<bool(int warps, int cluster)> fits;  // whether a block has room in shared memory
};

struct WideSplit {
  int warps;     // of a block, that multiply: row blocks that it has at once
  int cluster;   // blocks that share K
  int clusters;  // at most
};

// The split that takes the least time by a model.
WideSplit choose_wide_split(const WideExtent& extent, const WideLimits& limits, const cudaDeviceProp& device);

}  // namespace qutlass::cuda
