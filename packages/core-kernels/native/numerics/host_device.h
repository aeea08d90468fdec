// Marks functions that kernels use too.
#pragma once

#ifdef __CUDACC__
#define QUTLASS_HD __host__ __device__
#else
#define QUTLASS_HD
#endif
