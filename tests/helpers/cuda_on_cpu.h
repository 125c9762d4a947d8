// Compiles CUDA kernels with a C++ compiler and runs them on a CPU, without changes.
//
// The threads of a block take turns on one CPU thread. A thread runs until it ends or waits at a
// barrier; then the next one runs, on its own stack. Kernels without barriers therefore need no
// switching. `CUDA_KERNEL(name)` defines `int run_name(unsigned blocks, void** arguments)`, which
// returns 1 if some threads of a block have ended while others wait at a barrier.
//
// Nothing that a GPU leaves undefined is defined here: shared memory is NaN when a block begins,
// and with BACKWARDS the last thread of the last block runs first. A missing barrier shows in one
// of the two orders.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __shared__ static __attribute__((section("cuda_shared")))

// the section with all shared variables, set by the linker; null if there are none
extern "C" __attribute__((weak, visibility("hidden"))) char __start_cuda_shared[], __stop_cuda_shared[];

using std::max;
using std::min;

struct float2 {
    float x, y;
};

struct Coordinates {
    unsigned x, y, z;
};

static thread_local Coordinates threadIdx, blockIdx;

inline int __float_as_int(float value)
{
    int bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float __int_as_float(int bits)
{
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

template <typename T>
inline T atomicAdd(T* at, T value)
{
    const T before = *at;
    *at = before + value;
    return before;
}

namespace emulation {

#ifdef BACKWARDS
constexpr bool backwards = true;
#else
constexpr bool backwards = false;
#endif

static std::mutex one_at_a_time;  // the kernels use the same shared memory

inline unsigned in_order(unsigned i, unsigned count)
{
    return backwards ? count - 1 - i : i;
}

struct Fiber {
    ucontext_t start;
    jmp_buf here;
    std::vector<char> stack;
    unsigned thread = 0;
    bool started = false, waits = false;
};

static thread_local jmp_buf scheduler;
static thread_local Fiber* running = nullptr;
static thread_local unsigned next_thread = 0;
static thread_local std::function<void()>* body = nullptr;

inline void leave(Fiber* fiber)
{
    if (_setjmp(fiber->here) == 0) _longjmp(scheduler, 1);
    threadIdx.x = running->thread;
}

// The body of a fiber: one thread of the block after the other, for each block.
inline void work()
{
    Fiber* self = running;
    for (;;) {
        while (next_thread < THREADS) {
            threadIdx.x = self->thread = in_order(next_thread++, THREADS);
            (*body)();
        }
        self->waits = false;
        leave(self);
    }
}

inline void resume(Fiber* fiber)
{
    running = fiber;
    if (_setjmp(scheduler) == 0) {
        if (fiber->started) _longjmp(fiber->here, 1);
        fiber->started = true;
        getcontext(&fiber->start);
        fiber->stack.resize(1 << 16);
        fiber->start.uc_stack.ss_sp = fiber->stack.data();
        fiber->start.uc_stack.ss_size = fiber->stack.size();
        fiber->start.uc_link = nullptr;
        makecontext(&fiber->start, work, 0);
        setcontext(&fiber->start);
    }
}

inline bool run_block(std::vector<std::unique_ptr<Fiber>>& fibers)
{
    std::vector<Fiber*> waiting;
    for (next_thread = 0; next_thread < THREADS;) {
        if (fibers.size() == waiting.size()) fibers.push_back(std::make_unique<Fiber>());
        Fiber* fiber = fibers[waiting.size()].get();
        resume(fiber);
        if (fiber->waits) waiting.push_back(fiber);
    }
    if (waiting.empty()) return true;
    size_t alive = THREADS;
    while (waiting.size() == alive) {
        std::vector<Fiber*> still;
        for (Fiber* fiber : waiting) {
            resume(fiber);
            if (fiber->waits) still.push_back(fiber);
        }
        if (still.empty()) return true;
        waiting = still;
    }
    return false;
}

template <typename... P, size_t... I>
int launch(void (*kernel)(P...), unsigned blocks, void** arguments, std::index_sequence<I...>)
{
    std::function<void()> call = [&] { kernel(*static_cast<P*>(arguments[I])...); };
    std::vector<std::unique_ptr<Fiber>> fibers;
    body = &call;
    const std::lock_guard<std::mutex> lock(one_at_a_time);
    for (unsigned block = 0; block < blocks; ++block) {
        blockIdx.x = in_order(block, blocks);
        std::fill(__start_cuda_shared, __stop_cuda_shared, char(0xff));
        if (!run_block(fibers)) return 1;
    }
    return 0;
}

template <typename... P>
int launch(void (*kernel)(P...), unsigned blocks, void** arguments)
{
    return launch(kernel, blocks, arguments, std::index_sequence_for<P...>{});
}

}  // namespace emulation

inline void __syncthreads()
{
    emulation::running->waits = true;
    emulation::leave(emulation::running);
}

#define CUDA_KERNEL(name) \
    extern "C" __attribute__((visibility("default"))) int run_##name(unsigned blocks, void** arguments) \
    { \
        return emulation::launch(name, blocks, arguments); \
    }
