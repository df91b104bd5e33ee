// Cross-entropy of the softmax with the true class, forward and backward: one pass over the logits each, without
// anything of their size in between. A pixel's values depend on its own logits alone, so no order of threads matters.

#include <cmath>
#include <limits>

#include "rows.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace deeplab {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::Status;
using tensorflow::Tensor;
using tensorflow::errors::InvalidArgument;
using tensorflow::shape_inference::InferenceContext;

constexpr int64_t kPixels = 2048;  // enough work for one thread at a time
constexpr float kSmallest = -87;   // e to it is about the smallest normal number

// e^z of z <= 0, and NaN of NaN: 2^n e^r with r of at most ln 2 / 2, whose series' rest is below half a unit in the last
// place. ln 2 is subtracted in two parts, of which the first has few digits, so that n times it is exact.
inline Float Exponential(Float z) {
  const Float within = Chosen(z >= Repeated(kSmallest), z, Repeated(kSmallest));
  const Mask n = __builtin_convertvector(within * 1.44269504f - 0.5f, Mask);  // towards 0, which rounds below it
  const Float count = __builtin_convertvector(n, Float);
  const Float r = (within - count * 0.693359375f) - count * -2.12194440e-4f;
  Float series = Repeated(1.0f / 5040);
  for (const float each : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) series = series * r + each;
  const Float power = (Float)((n + 127) << 23);
  return Chosen(z != z, z, Chosen(z < Repeated(kSmallest), Float{}, series * power));
}

// The logits of one pixel, filled up with what adds nothing.
class Pixel {
 public:
  explicit Pixel(int64_t classes)
      : classes_(classes),
        values_((classes + kLanes - 1) / kLanes * kLanes, -std::numeric_limits<float>::infinity()) {}

  void Read(const float* logits) { std::copy(logits, logits + classes_, values_.begin()); }

  float Largest() const {
    Float largest = Load(&values_[0]);
    for (size_t lane = kLanes; lane < values_.size(); lane += kLanes) {
      const Float next = Load(&values_[lane]);
      largest = Chosen(next > largest, next, largest);
    }
    float lanes[kLanes];
    Store(lanes, largest);
    for (int width = kLanes / 2; width; width /= 2) {
      for (int i = 0; i < width; ++i) lanes[i] = lanes[i + width] > lanes[i] ? lanes[i + width] : lanes[i];
    }
    return lanes[0];
  }

  // The sum of e^(logit - largest).
  float Sum(float largest) const {
    Float sum = {};
    for (size_t lane = 0; lane < values_.size(); lane += kLanes) sum += Exponential(Load(&values_[lane]) - largest);
    float lanes[kLanes];
    Store(lanes, sum);
    for (int width = kLanes / 2; width; width /= 2) {
      for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
    }
    return lanes[0];
  }

  // factor e^(logit - largest), in place of the logits.
  float* Scaled(float largest, float factor) {
    for (size_t lane = 0; lane < values_.size(); lane += kLanes) {
      Store(&values_[lane], Exponential(Load(&values_[lane]) - largest) * factor);
    }
    return values_.data();
  }

 private:
  const int64_t classes_;
  std::vector<float> values_;
};

// Calls act(pixel's logits, number) for every pixel, with a Pixel of each thread's own.
void ForPixels(OpKernelContext* context, int64_t pixels, int64_t classes,
               const std::function<void(Pixel*, int64_t, int64_t)>& act) {
  tsl::thread::ThreadPool::SchedulingParams some(tsl::thread::ThreadPool::SchedulingStrategy::kFixedBlockSize,
                                                 absl::nullopt, kPixels);
  context->device()->tensorflow_cpu_worker_threads()->workers->ParallelFor(
      pixels, some, [&](int64_t begin, int64_t end) {
        const tsl::port::ScopedFlushDenormal flush;  // alike on every thread
        Pixel pixel(classes);
        act(&pixel, begin, end);
      });
}

// InvalidArgument unless there are logits [P, C] and as many of each of the vectors, and the classes are among C.
Status Check(const Tensor& logits, const Tensor& classes, const std::vector<const Tensor*>& vectors) {
  if (logits.dims() != 2 || logits.dim_size(1) == 0) {
    return InvalidArgument("logits are ", logits.shape().DebugString());
  }
  for (const Tensor* each : vectors) {
    if (each->dims() != 1 || each->dim_size(0) != logits.dim_size(0)) {
      return InvalidArgument("a vector is ", each->shape().DebugString(), " of logits ", logits.shape().DebugString());
    }
  }
  const auto numbers = classes.flat<int32_t>();
  for (int64_t i = 0; i < numbers.size(); ++i) {
    if (numbers(i) < 0 || numbers(i) >= logits.dim_size(1)) {
      return InvalidArgument("class ", numbers(i), " of ", logits.dim_size(1));
    }
  }
  return tensorflow::OkStatus();
}

class Forward : public OpKernel {
 public:
  explicit Forward(OpKernelConstruction* context) : OpKernel(context) {}

  void Compute(OpKernelContext* context) override {
    const Tensor &logits = context->input(0), &classes = context->input(1);
    OP_REQUIRES_OK(context, Check(logits, classes, {&classes}));
    Tensor *losses, *largest, *sum;
    OP_REQUIRES_OK(context, context->allocate_output(0, classes.shape(), &losses));
    OP_REQUIRES_OK(context, context->allocate_output(1, classes.shape(), &largest));
    OP_REQUIRES_OK(context, context->allocate_output(2, classes.shape(), &sum));
    const int64_t count = logits.dim_size(1);
    const float* from = logits.flat<float>().data();
    const int32_t* number = classes.flat<int32_t>().data();
    float *loss = losses->flat<float>().data(), *most = largest->flat<float>().data(), *all = sum->flat<float>().data();
    ForPixels(context, logits.dim_size(0), count, [&](Pixel* pixel, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        pixel->Read(from + i * count);
        most[i] = pixel->Largest();
        all[i] = pixel->Sum(most[i]);
        loss[i] = std::log(all[i]) - (from[i * count + number[i]] - most[i]);
      }
    });
  }
};

class Backward : public OpKernel {
 public:
  explicit Backward(OpKernelConstruction* context) : OpKernel(context) {}

  void Compute(OpKernelContext* context) override {
    const Tensor &upstream = context->input(0), &logits = context->input(1), &classes = context->input(2);
    const Tensor &largest = context->input(3), &sum = context->input(4);
    OP_REQUIRES_OK(context, Check(logits, classes, {&upstream, &classes, &largest, &sum}));
    Tensor* gradients;
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({1}, 0, logits.shape(), &gradients));
    const int64_t count = logits.dim_size(1);
    const float *from = logits.flat<float>().data(), *factor = upstream.flat<float>().data();
    const float *most = largest.flat<float>().data(), *all = sum.flat<float>().data();
    const int32_t* number = classes.flat<int32_t>().data();
    float* to = gradients->flat<float>().data();
    ForPixels(context, logits.dim_size(0), count, [&](Pixel* pixel, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        pixel->Read(from + i * count);
        const float* scaled = pixel->Scaled(most[i], factor[i] / all[i]);
        std::copy(scaled, scaled + count, to + i * count);
        to[i * count + number[i]] -= factor[i];
      }
    });
  }
};

REGISTER_OP("DeeplabCrossEntropy")
    .Input("logits: float")
    .Input("classes: int32")
    .Output("losses: float")
    .Output("largest: float")
    .Output("sum: float")
    .SetShapeFn([](InferenceContext* context) {
      for (int i = 0; i < 3; ++i) context->set_output(i, context->input(1));
      return tensorflow::OkStatus();
    });

REGISTER_OP("DeeplabCrossEntropyGrad")
    .Input("upstream: float")
    .Input("logits: float")
    .Input("classes: int32")
    .Input("largest: float")
    .Input("sum: float")
    .Output("gradients: float")
    .SetShapeFn([](InferenceContext* context) {
      context->set_output(0, context->input(1));
      return tensorflow::OkStatus();
    });

REGISTER_KERNEL_BUILDER(Name("DeeplabCrossEntropy").Device(tensorflow::DEVICE_CPU), Forward);
REGISTER_KERNEL_BUILDER(Name("DeeplabCrossEntropyGrad").Device(tensorflow::DEVICE_CPU), Backward);

}  // namespace deeplab
