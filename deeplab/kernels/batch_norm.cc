// Batch norm, what is added to it, and its activation, forward and backward: one pass over memory for the sums and one
// for what is written, in float32 or bfloat16 with float32 arithmetic.

#include <cmath>
#include <string>
#include <type_traits>

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

enum Activation { kNone, kRelu, kRelu6 };

// Comparisons are such that NaN goes through.
template <Activation A>
inline Float Activated(Float z) {
  if (A != kNone) z = Chosen(z < Float{}, Float{}, z);
  if (A == kRelu6) z = Chosen(z > Repeated(6), Repeated(6), z);
  return z;
}

// The activation's derivative, 1 or 0, from what goes into it or comes out of it.
template <Activation A>
inline Float Slope(Float z) {
  Mask passes = ~(z <= Float{});
  if (A == kRelu6) passes &= ~(z >= Repeated(6));
  return A == kNone ? Repeated(1) : Chosen(passes, Repeated(1), Float{});
}

inline Float Normalised(Float x, const float* mean, const float* scale, const float* offset) {
  return (x - Load(mean)) * Load(scale) + Load(offset);
}

// Sums of (x - shift) and of its square.
template <typename T, int N>
inline void SumSquares(const Layout& layout, const T* x, const float* shift, Sums* sums) {
  for (int64_t lane = 0; lane < layout.width; lane += kLanes) {
    const Float k = Load(shift + lane);
    Float sum = Load(sums->first(lane)), squares = Load(sums->second(lane));
    for (int i = 0; i < N; ++i) {
      const Float distance = Load(x + i * layout.width + lane) - k;
      sum += distance;
      squares += distance * distance;
    }
    Store(sums->first(lane), sum);
    Store(sums->second(lane), squares);
  }
  sums->RowsDone(N);
}

struct Parameters {  // of each lane
  std::vector<float> mean, scale, offset;
};

template <typename T, int N, Activation A>
inline void Apply(const Layout& layout, const Parameters& with, const T* x, const T* added, T* y) {
  for (int64_t lane = 0; lane < layout.width; lane += kLanes) {
    for (int i = 0; i < N; ++i) {
      const int64_t at = i * layout.width + lane;
      Float z = Normalised(Load(x + at), &with.mean[lane], &with.scale[lane], &with.offset[lane]);
      if (added) z += Load(added + at);
      Store(y + at, Activated<A>(z));
    }
  }
}

// Sums of dz, the gradient behind the activation, and of dz (x - mean); writes dz where it is asked for.
template <typename T, int N, Activation A>
inline void SumGradients(const Layout& layout, const Parameters& with, const T* dy, const T* x, const T* y, T* dz_out,
                         Sums* sums) {
  for (int64_t lane = 0; lane < layout.width; lane += kLanes) {
    Float sum = Load(sums->first(lane)), products = Load(sums->second(lane));
    for (int i = 0; i < N; ++i) {
      const int64_t at = i * layout.width + lane;
      const Float value = Load(x + at);
      const Float z = y ? Load(y + at)
                        : Normalised(value, &with.mean[lane], &with.scale[lane], &with.offset[lane]);
      const Float dz = Load(dy + at) * Slope<A>(z);
      if (dz_out) Store(dz_out + at, dz);
      sum += dz;
      products += dz * (value - Load(&with.mean[lane]));
    }
    Store(sums->first(lane), sum);
    Store(sums->second(lane), products);
  }
  sums->RowsDone(N);
}

// dx = scale (dz - mean_dz - (x - mean) slope_dz); `dy` is dz where A is none.
template <typename T, int N, Activation A>
inline void ApplyGradients(const Layout& layout, const Parameters& with, const float* mean_dz, const float* slope_dz,
                           const T* dy, const T* x, T* dx) {
  for (int64_t lane = 0; lane < layout.width; lane += kLanes) {
    for (int i = 0; i < N; ++i) {
      const int64_t at = i * layout.width + lane;
      const Float value = Load(x + at), mean = Load(&with.mean[lane]), scale = Load(&with.scale[lane]);
      const Float dz = Load(dy + at) * Slope<A>((value - mean) * scale + Load(&with.offset[lane]));
      Store(dx + at, scale * ((dz - Load(mean_dz + lane)) - (value - mean) * Load(slope_dz + lane)));
    }
  }
}

// What both ops have: their attributes, and the layout and the parameters of their inputs.
class BatchNormOp : public OpKernel {
 public:
  explicit BatchNormOp(OpKernelConstruction* context) : OpKernel(context) {
    std::string activation;
    OP_REQUIRES_OK(context, context->GetAttr("activation", &activation));
    activation_ = activation == "relu" ? kRelu : activation == "relu6" ? kRelu6 : kNone;
  }

 protected:
  template <typename Act>
  void Activate(Act act) {
    switch (activation_) {
      case kNone: return act(std::integral_constant<Activation, kNone>());
      case kRelu: return act(std::integral_constant<Activation, kRelu>());
      case kRelu6: return act(std::integral_constant<Activation, kRelu6>());
    }
  }

  static Layout LayoutOf(const Tensor& x) {
    const int64_t channels = x.dim_size(x.dims() - 1);
    return Layout(x.NumElements() / channels, channels);
  }

  // InvalidArgument unless x has channels, each vector as many values, and each of the features x's shape.
  static Status Check(const Tensor& x, const std::vector<const Tensor*>& vectors,
                      const std::vector<const Tensor*>& features) {
    if (x.dims() < 2 || x.dim_size(x.dims() - 1) == 0) {
      return InvalidArgument("features have no channels: ", x.shape().DebugString());
    }
    for (const Tensor* each : vectors) {
      if (each->dims() != 1 || each->dim_size(0) != x.dim_size(x.dims() - 1)) {
        return InvalidArgument("a parameter is ", each->shape().DebugString(), " of features ",
                               x.shape().DebugString());
      }
    }
    for (const Tensor* each : features) {
      if (each->shape() != x.shape()) {
        return InvalidArgument("of one shape: ", each->shape().DebugString(), " and ", x.shape().DebugString());
      }
    }
    return tensorflow::OkStatus();
  }

  static Parameters ParametersOf(const Layout& layout, const Tensor& gamma, const Tensor& beta, const float* mean,
                                 const float* inverse) {
    std::vector<float> scale(layout.channels);
    for (int64_t i = 0; i < layout.channels; ++i) scale[i] = gamma.flat<float>()(i) * inverse[i];
    return {layout.Repeat(mean), layout.Repeat(scale.data()), layout.Repeat(beta.flat<float>().data())};
  }

  Activation activation_ = kNone;
};

template <typename T>
class Forward : public BatchNormOp {
 public:
  explicit Forward(OpKernelConstruction* context) : BatchNormOp(context) {
    OP_REQUIRES_OK(context, context->GetAttr("epsilon", &epsilon_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor &x = context->input(0), &gamma = context->input(1), &beta = context->input(2);
    tensorflow::OpInputList statistics, added;
    OP_REQUIRES_OK(context, context->input_list("statistics", &statistics));
    OP_REQUIRES_OK(context, context->input_list("added", &added));
    std::vector<const Tensor*> vectors = {&gamma, &beta}, features;
    for (const Tensor& each : statistics) vectors.push_back(&each);
    for (const Tensor& each : added) features.push_back(&each);
    OP_REQUIRES_OK(context, Check(x, vectors, features));
    Tensor *y, *mean, *variance, *inverse;
    OP_REQUIRES_OK(context, context->allocate_output(0, x.shape(), &y));
    OP_REQUIRES_OK(context, context->allocate_output(1, gamma.shape(), &mean));
    OP_REQUIRES_OK(context, context->allocate_output(2, gamma.shape(), &variance));
    OP_REQUIRES_OK(context, context->allocate_output(3, gamma.shape(), &inverse));
    const Layout layout = LayoutOf(x);
    if (statistics.size()) {
      *mean = statistics[0];
      *variance = statistics[1];
      for (int64_t i = 0; i < layout.channels; ++i) {
        inverse->flat<float>()(i) = 1.0 / std::sqrt(double{variance->flat<float>()(i)} + epsilon_);
      }
    } else {
      Measure(context, layout, x, mean->flat<float>().data(), variance->flat<float>().data(),
              inverse->flat<float>().data());
    }
    if (layout.rows) Write(context, layout, x, gamma, beta, *mean, *inverse, added.size() ? &added[0] : nullptr, y);
  }

 private:
  // Mean, variance with Bessel's correction, and 1 / sqrt(variance without it + epsilon). The first row is subtracted
  // from all, so that the squares aren't those of a mean that is far from zero.
  void Measure(OpKernelContext* context, const Layout& layout, const Tensor& x, float* mean, float* variance,
               float* inverse) {
    const T* features = x.flat<T>().data();
    std::vector<float> first(layout.channels);
    for (int64_t i = 0; i < layout.channels && layout.rows; ++i) first[i] = static_cast<float>(features[i]);
    const std::vector<float> shift = layout.Repeat(first.data());
    Partial partial(layout);
    InChunks(context, layout, [&](int64_t chunk, int64_t begin, int64_t end) {
      Sums sums = partial.Of(chunk);
      // What a last row lacks is taken as its own shift, which adds nothing.
      const auto few = [&](int64_t row) {
        SumSquares<T, 4>(layout, features + row * layout.width, shift.data(), &sums);
      };
      const auto one = [&](int64_t row) {
        std::vector<T> copy(layout.width);
        for (int64_t i = 0; i < layout.width; ++i) copy[i] = static_cast<T>(shift[i]);
        const T* from = features + row * layout.width;
        std::copy(from, from + layout.Filled(row), copy.begin());
        SumSquares<T, 1>(layout, copy.data(), shift.data(), &sums);
      };
      DEEPLAB_ROWS(layout, begin, end, few, one)
      sums.Flush();
    });
    const std::vector<double> total = partial.Total();
    const double count = layout.rows;
    for (int64_t i = 0; i < layout.channels; ++i) {
      const double distance = total[i] / count;
      double found = total[layout.channels + i] / count - distance * distance;
      if (found < 0) found = 0;
      mean[i] = first[i] + distance;
      variance[i] = found * (count / std::max(count - 1, 1.0));
      inverse[i] = 1.0 / std::sqrt(found + epsilon_);
    }
  }

  void Write(OpKernelContext* context, const Layout& layout, const Tensor& x, const Tensor& gamma, const Tensor& beta,
             const Tensor& mean, const Tensor& inverse, const Tensor* added, Tensor* y) {
    const Parameters with =
        ParametersOf(layout, gamma, beta, mean.flat<float>().data(), inverse.flat<float>().data());
    const T* features = x.flat<T>().data();
    const T* others = added ? added->flat<T>().data() : nullptr;
    T* outputs = y->flat<T>().data();
    Activate([&](auto activation) {
      InChunks(context, layout, [&](int64_t, int64_t begin, int64_t end) {
        Reader<T> from(features, layout, T(0)), other(others, layout, T(0));
        Writer<T> to(outputs, layout);
        const auto few = [&](int64_t row) {
          const int64_t at = row * layout.width;
          Apply<T, 4, activation()>(layout, with, features + at, others ? others + at : nullptr, outputs + at);
        };
        const auto one = [&](int64_t row) {
          Apply<T, 1, activation()>(layout, with, from.Row(row), others ? other.Row(row) : nullptr, to.Row(row));
          to.Done(row);
        };
        DEEPLAB_ROWS(layout, begin, end, few, one)
      });
    });
  }

  float epsilon_;
};

template <typename T>
class Backward : public BatchNormOp {
 public:
  explicit Backward(OpKernelConstruction* context) : BatchNormOp(context) {
    OP_REQUIRES_OK(context, context->GetAttr("training", &training_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor &dy = context->input(0), &x = context->input(1), &gamma = context->input(2);
    const Tensor &beta = context->input(3), &mean = context->input(4), &inverse = context->input(5);
    tensorflow::OpInputList y;
    OP_REQUIRES_OK(context, context->input_list("y", &y));
    std::vector<const Tensor*> features = {&dy};
    for (const Tensor& each : y) features.push_back(&each);
    OP_REQUIRES_OK(context, Check(x, {&gamma, &beta, &mean, &inverse}, features));
    Tensor *dx, *dgamma, *dbeta, *dz = nullptr;
    if (y.size()) {  // what is added has a gradient as well
      OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 3, x.shape(), &dz));
      OP_REQUIRES_OK(context, context->allocate_output(0, x.shape(), &dx));
    } else {
      OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 0, x.shape(), &dx));
    }
    OP_REQUIRES_OK(context, context->allocate_output(1, gamma.shape(), &dgamma));
    OP_REQUIRES_OK(context, context->allocate_output(2, gamma.shape(), &dbeta));
    const Layout layout = LayoutOf(x);
    const float* inverses = inverse.flat<float>().data();
    const Parameters with = ParametersOf(layout, gamma, beta, mean.flat<float>().data(), inverses);
    const std::vector<double> total = Sum(context, layout, with, dy, x, y.size() ? &y[0] : nullptr, dz);
    std::vector<float> mean_dz(layout.channels), slope_dz(layout.channels);
    for (int64_t i = 0; i < layout.channels; ++i) {
      const double products = total[layout.channels + i], inverse_i = inverses[i];
      dbeta->flat<float>()(i) = total[i];
      dgamma->flat<float>()(i) = layout.rows ? products * inverse_i : 0.0;  // without rows the inverse is NaN
      if (training_) {
        mean_dz[i] = total[i] / layout.rows;
        slope_dz[i] = products * inverse_i * inverse_i / layout.rows;
      }
    }
    if (layout.rows) Write(context, layout, with, mean_dz, slope_dz, dz ? *dz : dy, x, dz != nullptr, dx);
  }

 private:
  std::vector<double> Sum(OpKernelContext* context, const Layout& layout, const Parameters& with, const Tensor& dy,
                          const Tensor& x, const Tensor* y, Tensor* dz) {
    const T *gradients = dy.flat<T>().data(), *features = x.flat<T>().data();
    const T* outputs = y ? y->flat<T>().data() : nullptr;
    T* masked = dz ? dz->flat<T>().data() : nullptr;
    Partial partial(layout);
    Activate([&](auto activation) {
      InChunks(context, layout, [&](int64_t chunk, int64_t begin, int64_t end) {
        Sums sums = partial.Of(chunk);
        // A last row's gradients end in zeros, beside features that are finite.
        Reader<T> from(gradients, layout, T(0)), feature(features, layout, T(0)), output(outputs, layout, T(0));
        Writer<T> to(masked, layout);
        const auto few = [&](int64_t row) {
          const int64_t at = row * layout.width;
          SumGradients<T, 4, activation()>(layout, with, gradients + at, features + at, y ? outputs + at : nullptr,
                                           dz ? masked + at : nullptr, &sums);
        };
        const auto one = [&](int64_t row) {
          SumGradients<T, 1, activation()>(layout, with, from.Row(row), feature.Row(row), y ? output.Row(row) : nullptr,
                                           dz ? to.Row(row) : nullptr, &sums);
          if (dz) to.Done(row);
        };
        DEEPLAB_ROWS(layout, begin, end, few, one)
        sums.Flush();
      });
    });
    return partial.Total();
  }

  void Write(OpKernelContext* context, const Layout& layout, const Parameters& with, const std::vector<float>& mean_dz,
             const std::vector<float>& slope_dz, const Tensor& dy, const Tensor& x, bool masked, Tensor* dx) {
    const std::vector<float> means = layout.Repeat(mean_dz.data()), slopes = layout.Repeat(slope_dz.data());
    const T *gradients = dy.flat<T>().data(), *features = x.flat<T>().data();
    T* outputs = dx->flat<T>().data();
    const auto write = [&](auto activation) {
      InChunks(context, layout, [&](int64_t, int64_t begin, int64_t end) {
        Reader<T> from(gradients, layout, T(0)), feature(features, layout, T(0));
        Writer<T> to(outputs, layout);
        const auto few = [&](int64_t row) {
          const int64_t at = row * layout.width;
          ApplyGradients<T, 4, activation()>(layout, with, means.data(), slopes.data(), gradients + at, features + at,
                                             outputs + at);
        };
        const auto one = [&](int64_t row) {
          ApplyGradients<T, 1, activation()>(layout, with, means.data(), slopes.data(), from.Row(row), feature.Row(row),
                                             to.Row(row));
          to.Done(row);
        };
        DEEPLAB_ROWS(layout, begin, end, few, one)
      });
    };
    masked ? write(std::integral_constant<Activation, kNone>()) : Activate(write);
  }

  bool training_;
};

Status LikeFeatures(InferenceContext* context, int features, int vector, int first_vector, int end_vector) {
  context->set_output(0, context->input(features));
  for (int i = first_vector; i < end_vector; ++i) context->set_output(i, context->input(vector));
  for (int i = end_vector; i < context->num_outputs(); ++i) context->set_output(i, context->input(features));
  return tensorflow::OkStatus();
}

REGISTER_OP("DeeplabBatchNorm")
    .Input("x: T")
    .Input("gamma: float")
    .Input("beta: float")
    .Input("statistics: S * float")
    .Input("added: R * T")
    .Output("y: T")
    .Output("mean: float")
    .Output("variance: float")
    .Output("inverse: float")
    .Attr("T: {float, bfloat16}")
    .Attr("S: int >= 0")
    .Attr("R: int >= 0")
    .Attr("activation: {'none', 'relu', 'relu6'}")
    .Attr("epsilon: float")
    .SetShapeFn([](InferenceContext* context) { return LikeFeatures(context, 0, 1, 1, 4); });

REGISTER_OP("DeeplabBatchNormGrad")
    .Input("dy: T")
    .Input("x: T")
    .Input("gamma: float")
    .Input("beta: float")
    .Input("mean: float")
    .Input("inverse: float")
    .Input("y: R * T")
    .Output("dx: T")
    .Output("dgamma: float")
    .Output("dbeta: float")
    .Output("dadded: R * T")
    .Attr("T: {float, bfloat16}")
    .Attr("R: int >= 0")
    .Attr("activation: {'none', 'relu', 'relu6'}")
    .Attr("training: bool")
    .SetShapeFn([](InferenceContext* context) { return LikeFeatures(context, 1, 2, 1, 3); });

#define DEEPLAB_REGISTER(T)                                                                                        \
  REGISTER_KERNEL_BUILDER(                                                                                         \
      Name("DeeplabBatchNorm").Device(tensorflow::DEVICE_CPU).TypeConstraint<T>("T"), Forward<T>);                 \
  REGISTER_KERNEL_BUILDER(                                                                                         \
      Name("DeeplabBatchNormGrad").Device(tensorflow::DEVICE_CPU).TypeConstraint<T>("T"), Backward<T>)
DEEPLAB_REGISTER(float);
DEEPLAB_REGISTER(Eigen::bfloat16);

}  // namespace deeplab
