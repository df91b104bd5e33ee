// Features [rows, channels] as vectors: how they are loaded, laid out, shared among threads and summed.
//
// Sums are made in float32 over a few rows, of those in float64. The chunks that threads share are decided by the shape
// alone and added up in order, so the number of threads changes no bit.

#ifndef DEEPLAB_KERNELS_ROWS_H_
#define DEEPLAB_KERNELS_ROWS_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <vector>

#include "tensorflow/core/framework/op_kernel.h"
#include "tsl/platform/denormal.h"
#include "tsl/platform/threadpool.h"

namespace deeplab {

using tensorflow::OpKernelContext;

constexpr int kLanes = 16;
constexpr int64_t kShortestRow = 256;      // below it, loops over a row are mostly overhead
constexpr int64_t kChunkElements = 65536;  // enough work for one thread at a time
constexpr int64_t kMostChunks = 128;
constexpr int kRowsInFloat = 64;  // as many are summed in float32

typedef float Float __attribute__((vector_size(64)));
typedef float FloatAnywhere __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t Mask __attribute__((vector_size(64)));
typedef uint32_t Bits __attribute__((vector_size(64)));
typedef uint16_t Half __attribute__((vector_size(32)));
typedef uint16_t HalfAnywhere __attribute__((vector_size(32), aligned(2), may_alias));

inline Float Load(const float* from) { return *reinterpret_cast<const FloatAnywhere*>(from); }
inline void Store(float* to, Float value) { *reinterpret_cast<FloatAnywhere*>(to) = value; }

inline Float Load(const Eigen::bfloat16* from) {
  const Half half = *reinterpret_cast<const HalfAnywhere*>(from);
  return (Float)(__builtin_convertvector(half, Bits) << 16);
}

// To the nearest, of two to the even one; NaN stays NaN, which the rounding of its bits alone could make a number of.
inline void Store(Eigen::bfloat16* to, Float value) {
  const Bits bits = (Bits)value;
  const Bits rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Bits nan = (Bits)(value != value);
  *reinterpret_cast<HalfAnywhere*>(to) = __builtin_convertvector((rounded & ~nan) | (nan & 0x7fc0), Half);
}

inline Float Repeated(float value) { return value - Float{}; }
inline Float Chosen(Mask mask, Float yes, Float no) { return (Float)(((Mask)yes & mask) | ((Mask)no & ~mask)); }

// A row of the loops is `period` rows of the features, such that it is a whole number of vectors whatever the number of
// channels; the parameters are repeated as often. Where they aren't those of all features, there are several images,
// each of `rows`, which share no row and no chunk.
struct Layout {
  int64_t images, rows, channels, period, width, long_rows, chunks;

  Layout(int64_t images, int64_t rows, int64_t channels) : images(images), rows(rows), channels(channels) {
    period = kLanes / std::gcd(channels, int64_t{kLanes});
    period *= (kShortestRow + period * channels - 1) / (period * channels);
    width = period * channels;
    long_rows = (rows + period - 1) / period;
    const int64_t most = std::min(std::max(kMostChunks / images, int64_t{1}), std::max(long_rows, int64_t{1}));
    chunks = std::clamp(rows * channels / kChunkElements, int64_t{1}, most);
  }

  // Where the features of an image begin.
  int64_t Begin(int64_t image) const { return image * rows * channels; }

  std::vector<float> Repeat(const float* values) const {
    std::vector<float> repeated(width);
    for (int64_t i = 0; i < period; ++i) std::copy(values, values + channels, repeated.begin() + i * channels);
    return repeated;
  }

  // How many elements of a long row there are: the last one may end early.
  int64_t Filled(int64_t row) const { return std::min(width, (rows - row * period) * channels); }
};

struct Chunk {
  int64_t index, image, begin, end;  // of all chunks; the long rows are those of the image
};

inline void InChunks(OpKernelContext* context, const Layout& layout, const std::function<void(Chunk)>& act) {
  const auto some = [&](int64_t first, int64_t end) {
    const tsl::port::ScopedFlushDenormal flush;  // alike on every thread
    for (int64_t i = first; i < end; ++i) {
      const int64_t part = i % layout.chunks;
      act({i, i / layout.chunks, layout.long_rows * part / layout.chunks,
           layout.long_rows * (part + 1) / layout.chunks});
    }
  };
  const int64_t count = layout.images * layout.chunks;
  if (count == 1) return some(0, 1);
  tsl::thread::ThreadPool::SchedulingParams one_by_one(
      tsl::thread::ThreadPool::SchedulingStrategy::kFixedBlockSize, absl::nullopt, 1);
  context->device()->tensorflow_cpu_worker_threads()->workers->ParallelFor(count, one_by_one, some);
}

// A long row of features to read; where it ends early, a copy that goes on with `padding`.
template <typename T>
class Reader {
 public:
  Reader(const T* features, const Layout& layout, T padding)
      : features_(features), layout_(layout), padding_(padding) {}

  const T* Row(int64_t row) {
    const int64_t filled = layout_.Filled(row);
    const T* begin = features_ + row * layout_.width;
    if (filled == layout_.width) return begin;
    copy_.assign(layout_.width, padding_);
    std::copy(begin, begin + filled, copy_.begin());
    return copy_.data();
  }

 private:
  const T* features_;
  const Layout& layout_;
  const T padding_;
  std::vector<T> copy_;
};

// A long row of features to write; `Done` brings home what was written aside.
template <typename T>
class Writer {
 public:
  Writer(T* features, const Layout& layout) : features_(features), layout_(layout) {}

  T* Row(int64_t row) {
    if (layout_.Filled(row) == layout_.width) return features_ + row * layout_.width;
    copy_.resize(layout_.width);
    return copy_.data();
  }

  void Done(int64_t row) {
    const int64_t filled = layout_.Filled(row);
    if (filled < layout_.width) std::copy(copy_.begin(), copy_.begin() + filled, features_ + row * layout_.width);
  }

 private:
  T* features_;
  const Layout& layout_;
  std::vector<T> copy_;
};

// Some sums per channel of one chunk, `[count, channels]`: float32 over some rows, then float64.
class Sums {
 public:
  Sums(const Layout& layout, int count, double* total)
      : layout_(layout), count_(count), total_(total), few_(count * layout.width) {
    std::fill(total, total + count * layout.channels, 0.0);
  }

  // Of the i-th sum, to be added to.
  float* at(int i, int64_t lane) { return &few_[i * layout_.width + lane]; }

  void RowsDone(int rows) {
    rows_ += rows;
    if (rows_ >= kRowsInFloat) Flush();
  }

  void Flush() {
    for (int i = 0; i < count_; ++i) {
      double* total = total_ + i * layout_.channels;
      for (int64_t begin = 0; begin < layout_.width; begin += layout_.channels) {
        for (int64_t channel = 0; channel < layout_.channels; ++channel) total[channel] += *at(i, begin + channel);
      }
    }
    std::fill(few_.begin(), few_.end(), 0.0f);
    rows_ = 0;
  }

 private:
  const Layout& layout_;
  const int count_;
  double* total_;
  std::vector<float> few_;
  int rows_ = 0;
};

// The sums of all chunks, one chunk after the other: [count, channels].
class Partial {
 public:
  Partial(const Layout& layout, int count)
      : layout_(layout), count_(count), sums_(layout.images * layout.chunks * count * layout.channels) {}

  Sums Of(const Chunk& chunk) {
    return Sums(layout_, count_, &sums_[chunk.index * count_ * layout_.channels]);
  }

  std::vector<double> Total() const {
    std::vector<double> total(count_ * layout_.channels);
    for (size_t begin = 0; begin < sums_.size(); begin += total.size()) {
      for (size_t i = 0; i < total.size(); ++i) total[i] += sums_[begin + i];
    }
    return total;
  }

 private:
  const Layout& layout_;
  const int count_;
  std::vector<double> sums_;
};

// Calls rows<N>(row) with N = 4 as long as there are as many whole long rows, then with N = 1.
#define DEEPLAB_ROWS(layout, first, end, FEW, ONE)                                         \
  {                                                                                        \
    int64_t row = first;                                                                   \
    for (; row + 4 <= end && layout.Filled(row + 3) == layout.width; row += 4) FEW(row);   \
    for (; row < end; ++row) ONE(row);                                                     \
  }

}  // namespace deeplab

#endif  // DEEPLAB_KERNELS_ROWS_H_
