"""Multiplies with quantized weights through the C ABI of qutlass, on tensors of PyTorch, and compares with PyTorch.

    python compare_with_torch.py path/to/libqutlass.so [--device cpu]

The path defaults to QUTLASS_LIBRARY. Every kernel of the device that supports a pair of formats has to agree with the
float64 product of the dequantized operands:

    abs(D - D*) <= 2^-8 abs(D*) + c * sum_k abs(A[m, k] W[n, k])

with c by what the kernel adds up in. Prints a table; the exit status is 1 if a kernel disagrees.
"""

import argparse
import ctypes
import os
import sys
from ctypes import byref, c_char, c_char_p, c_double, c_float, c_int32, c_int64, c_void_p
from dataclasses import dataclass

import torch

# Values of qutlass.h.
ABI_VERSION = 4
OK, UNSUPPORTED = 0, 5
DTYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}
F32, F8_E4M3 = 0, 6
E2M1, E4M3, INT4 = 0, 3, 7
RULE_AMAX, RULE_NV = 0, 5
# Float32 values of dequantized operands are rounded, which counts where the kernel has no error of its own.
ACCUMULATOR_BOUNDS = {"f22": 2**-11, "f32": 2**-16, "f64": 2**-22, "i32": 2**-22}


class Tensor(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("dtype", c_int32), ("rank", c_int32), ("shape", c_int64 * 4)]


class Format(ctypes.Structure):
    _fields_ = [
        (name, c_int32)
        for name in ("element", "scale_dtype", "rule", "group_rows", "group_cols", "zero_point")
    ]


class Quantized(ctypes.Structure):
    _fields_ = [
        ("format", Format),
        ("rows", c_int64),
        ("cols", c_int64),
        ("codes", c_void_p),
        ("scales", c_void_p),
        ("zero_points", c_void_p),
        ("global_scale", c_void_p),
        ("clip_mask", c_void_p),
        ("scale_layout", c_int32),
        ("tiles", c_void_p),
    ]


class Rotation(ctypes.Structure):
    _fields_ = [("kind", c_int32), ("size", c_int32), ("data", c_void_p)]


class Operand(ctypes.Structure):
    _fields_ = [("is_quantized", c_int32), ("dense", Tensor), ("quantized", Quantized)]


class Problem(ctypes.Structure):
    _fields_ = [
        ("a", Operand),
        ("b", Operand),
        ("a_rotation", Rotation),
        ("quantizes_a", c_int32),
        ("a_format", Format),
        ("alpha", c_float),
        ("alpha_pointer", c_void_p),
        ("bias", Tensor),
        ("out", Tensor),
        ("accuracy", c_int32),
    ]


class KernelInfo(ctypes.Structure):
    _fields_ = [
        ("name", c_char * 64),
        ("device", c_char * 16),
        ("requires_isa", c_char * 32),
        ("accumulator", c_char * 16),
        ("tile", c_int32 * 3),
        ("available", c_int32),
        ("peak_fraction", c_double),
        ("precision", c_char * 8),
        ("decode_per_clock", c_double),
        ("bandwidth_fraction", c_double),
        ("max_m", c_int32),
        ("on_request", c_int32),
    ]


def describe(x: torch.Tensor) -> Tensor:
    """The same memory as a tensor of qutlass."""
    assert x.is_contiguous() and x.dtype in DTYPES
    return Tensor(x.data_ptr(), DTYPES[x.dtype], x.dim(), (c_int64 * 4)(*x.shape))


@dataclass
class Matrix:
    """A quantized matrix; the tensors own its memory."""

    quantized: Quantized
    parts: list


class Qutlass:
    """The functions of the library that are used here, on one device and stream."""

    def __init__(self, path: str, device: str):
        self.device = device
        self.library = ctypes.CDLL(path)
        self.library.qutlass_last_error.restype = c_char_p
        version = self.library.qutlass_abi_version()
        if version != ABI_VERSION:
            raise RuntimeError(f"{path}: expected ABI version {ABI_VERSION}, got {version}")
        self.handle, self.stream = c_void_p(), c_void_p()
        self.check(self.library.qutlass_device_open(device.encode(), 0, byref(self.handle)))
        self.check(self.library.qutlass_stream_create(self.handle, byref(self.stream)))

    def close(self) -> None:
        self.library.qutlass_stream_destroy(self.stream)
        self.library.qutlass_device_close(self.handle)

    def check(self, status: int) -> None:
        if status != OK:
            raise RuntimeError(self.library.qutlass_last_error().decode())

    def run(self, function, *arguments) -> None:
        """Enqueues an operation and waits for it; PyTorch works on another stream."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
        self.check(function(self.stream, *arguments))
        self.check(self.library.qutlass_stream_synchronize(self.stream))

    def kernels(self) -> list:
        infos = [KernelInfo() for _ in range(self.library.qutlass_kernel_count())]
        for index, info in enumerate(infos):
            self.check(self.library.qutlass_kernel_get_info(index, byref(info)))
        return infos

    def quantize(self, x: torch.Tensor, form: Format) -> Matrix:
        rows, cols = x.shape
        bits = 4 if form.element in (E2M1, INT4) else 8
        groups = cols // (form.group_cols or cols)
        scale_dtype = torch.uint8 if form.scale_dtype == F8_E4M3 else torch.float32
        codes = torch.empty(rows, cols * bits // 8, dtype=torch.uint8, device=x.device)
        scales = torch.empty(rows, groups, dtype=scale_dtype, device=x.device)
        parts = [codes, scales]
        q = Quantized(form, rows, cols, codes.data_ptr(), scales.data_ptr())
        if form.rule == RULE_NV:
            one = torch.empty(1, dtype=torch.float32, device=x.device)
            parts.append(one)
            q.global_scale = one.data_ptr()
        find_global_scale = int(form.rule == RULE_NV)
        self.run(self.library.qutlass_quantize, byref(describe(x)), None, None, find_global_scale, byref(q))
        return Matrix(q, parts)

    def dequantize(self, x: Matrix) -> torch.Tensor:
        shape = x.quantized.rows, x.quantized.cols
        values = torch.empty(*shape, dtype=torch.float32, device=x.parts[0].device)
        self.run(self.library.qutlass_dequantize, byref(x.quantized), None, byref(describe(values)))
        return values

    def problem(self, a, b: Matrix, out: torch.Tensor) -> Problem:
        dense = isinstance(a, torch.Tensor)
        left = Operand(0, dense=describe(a)) if dense else Operand(1, quantized=a.quantized)
        return Problem(left, Operand(1, quantized=b.quantized), alpha=1.0, out=describe(out))


def compare(q: Qutlass, title: str, a, b: Matrix) -> bool:
    """Runs every kernel on a [M, K], dense or quantized, times b [N, K]; prints a line for each."""
    left = (q.dequantize(a) if isinstance(a, Matrix) else a).double()
    right = q.dequantize(b).double()
    exact = left @ right.T
    magnitude = left.abs() @ right.abs().T
    good, ran = True, 0
    for index, kernel in enumerate(q.kernels()):
        if kernel.device.decode() != q.device.split(":")[0]:
            continue
        out = torch.zeros(*exact.shape, dtype=torch.bfloat16, device=right.device)
        problem = q.problem(a, b, out)
        status = q.library.qutlass_matmul_supported(index, byref(problem))
        if status == UNSUPPORTED:
            continue
        q.check(status)
        q.run(q.library.qutlass_matmul, index, byref(problem))
        ran += 1
        error = (out.double() - exact).abs()
        bound = 2**-8 * exact.abs() + ACCUMULATOR_BOUNDS[kernel.accumulator.decode()] * magnitude
        agrees = bool((error <= bound).all())
        relative = float((error.square().sum() / exact.square().sum()).sqrt())
        good = good and agrees
        print(
            f"{title:<16} {kernel.name.decode():<18} {relative:>14.2e} "
            f"{float((error / bound).max()):>15.0%}  {'ok' if agrees else 'DISAGREES'}"
        )
    if ran == 0:
        print(f"{title:<16} no kernel supports it")
    return good and ran > 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", nargs="?", default=os.environ.get("QUTLASS_LIBRARY"))
    parser.add_argument("--device", default="cuda", help="cuda, cuda:<index> or cpu (default: cuda)")
    parser.add_argument("--shape", default="64x1024x2048", help="MxNxK (default: 64x1024x2048)")
    options = parser.parse_args()
    if not options.library:
        parser.error("expected the path of libqutlass.so, as an argument or in QUTLASS_LIBRARY")
    m, n, k = map(int, options.shape.split("x"))
    q = Qutlass(options.library, options.device)
    torch.manual_seed(0)
    weight = torch.randn(n, k).to(torch.bfloat16).to(options.device)
    x = torch.randn(m, k).to(torch.bfloat16).to(options.device)

    nvfp4 = Format(E2M1, F8_E4M3, RULE_NV, 1, 16, 0)
    int4 = Format(INT4, F32, RULE_AMAX, 1, 128, 0)
    fp8 = Format(E4M3, F32, RULE_AMAX, 1, 0, 0)
    print(f"{'operands':<16} {'kernel':<18} {'relative error':>14} {'largest / bound':>15}")
    agree = [
        compare(q, "bf16 x nvfp4", x, q.quantize(weight, nvfp4)),
        compare(q, "bf16 x int4", x, q.quantize(weight, int4)),
        compare(q, "bf16 x fp8", x, q.quantize(weight, fp8)),
        compare(q, "nvfp4 x nvfp4", q.quantize(x, nvfp4), q.quantize(weight, nvfp4)),
        compare(q, "fp8 x fp8", q.quantize(x, fp8), q.quantize(weight, fp8)),
    ]
    q.close()
    return 0 if all(agree) else 1


if __name__ == "__main__":
    sys.exit(main())
