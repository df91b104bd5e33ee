// Batch norm, a factor for each channel of an image, what is added, and an activation, forward and backward: one pass
// over memory for the sums and one for what is written, in float32 or bfloat16 with float32 arithmetic.
//
// In formulas z is what goes into the activation: (scale (x - mean) + offset) factor + added.

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

enum Activation { kNone, kRelu, kRelu6, kPrelu };

// Comparisons are such that NaN goes through.
template <Activation A>
inline Float Activated(Float z, Float alpha) {
  if (A == kPrelu) return Chosen(z < Float{}, alpha * z, z);
  if (A != kNone) z = Chosen(z < Float{}, Float{}, z);
  if (A == kRelu6) z = Chosen(z > Repeated(6), Repeated(6), z);
  return z;
}

// The activation's derivative: alpha below 0, or 0 there and 1 elsewhere, which what comes out of it decides as well.
template <Activation A>
inline Float Slope(Float z, Float alpha) {
  Mask passes = ~(z <= Float{});
  if (A == kRelu6) passes &= ~(z >= Repeated(6));
  return A == kNone ? Repeated(1) : Chosen(passes, Repeated(1), A == kPrelu ? alpha : Float{});
}

// Sums of (x - shift) and of its square.
template <typename T, int N>
inline void SumSquares(const Layout& layout, const T* x, const float* shift, Sums* sums) {
  for (int64_t lane = 0; lane < layout.width; lane += kLanes) {
    const Float k = Load(shift + lane);
    Float sum = Load(sums->at(0, lane)), squares = Load(sums->at(1, lane));
    for (int i = 0; i < N; ++i) {
      const Float distance = Load(x + i * layout.width + lane) - k;
      sum += distance;
      squares += distance * distance;
    }
    Store(sums->at(0, lane), sum);
    Store(sums->at(1, lane), squares);
  }
  sums->RowsDone(N);
}

struct Parameters {  // of each lane
  std::vector<float> mean, scale, offset, alpha;
  std::vector<std::vector<float>> factors;  // of each image, or none
};

// Those of some lanes of an image, and z there.
template <Activation A>
struct Lanes {
  Float mean, scale, offset, alpha, factor;

  Lanes(const Parameters& with, int64_t image, int64_t lane)
      : mean(Load(&with.mean[lane])),
        scale(Load(&with.scale[lane])),
        offset(Load(&with.offset[lane])),
        alpha(A == kPrelu ? Load(&with.alpha[lane]) : Float{}),
        factor(with.factors.empty() ? Repeated(1) : Load(&with.factors[image][lane])) {}

  Float Normalised(Float x) const { return ((x - mean) * scale + offset) * factor; }
};

template <typename T, int N, Activation A>
inline void Apply(const Layout& layout, const Parameters& with, int64_t image, const T* x, const T* added, T* y) {
  for (int64_t lane = 0; lane < layout.width; lane += kLanes) {
    const Lanes<A> lanes(with, image, lane);
    for (int i = 0; i < N; ++i) {
      const int64_t at = i * layout.width + lane;
      Float z = lanes.Normalised(Load(x + at));
      if (added) z += Load(added + at);
      Store(y + at, Activated<A>(z, lanes.alpha));
    }
  }
}

// Sums of du, the gradient behind the factor, of du (x - mean), and for PReLU of alpha's; writes dz where it is asked
// for. `beside` is y where something was added, for PReLU what was: of a negative alpha, y doesn't tell z's sign.
template <typename T, int N, Activation A>
inline void SumGradients(const Layout& layout, const Parameters& with, int64_t image, const T* dy, const T* x,
                         const T* beside, T* dz_out, Sums* sums) {
  for (int64_t lane = 0; lane < layout.width; lane += kLanes) {
    const Lanes<A> lanes(with, image, lane);
    Float sum = Load(sums->at(0, lane)), products = Load(sums->at(1, lane)), alphas = {};
    for (int i = 0; i < N; ++i) {
      const int64_t at = i * layout.width + lane;
      const Float value = Load(x + at), gradient = Load(dy + at);
      const Float z = !beside        ? lanes.Normalised(value)
                      : A == kPrelu ? lanes.Normalised(value) + Load(beside + at)
                                    : Load(beside + at);
      const Float dz = gradient * Slope<A>(z, lanes.alpha);
      if (dz_out) Store(dz_out + at, dz);
      const Float du = dz * lanes.factor;
      sum += du;
      products += du * (value - lanes.mean);
      if (A == kPrelu) alphas += Chosen(z >= Float{}, Float{}, gradient * z);
    }
    Store(sums->at(0, lane), sum);
    Store(sums->at(1, lane), products);
    if (A == kPrelu) Store(sums->at(2, lane), Load(sums->at(2, lane)) + alphas);
  }
  sums->RowsDone(N);
}

// dx = scale (du - mean_du - (x - mean) slope_du); `dy` is dz where A is none.
template <typename T, int N, Activation A>
inline void ApplyGradients(const Layout& layout, const Parameters& with, int64_t image, const float* mean_du,
                           const float* slope_du, const T* dy, const T* x, T* dx) {
  for (int64_t lane = 0; lane < layout.width; lane += kLanes) {
    const Lanes<A> lanes(with, image, lane);
    for (int i = 0; i < N; ++i) {
      const int64_t at = i * layout.width + lane;
      const Float value = Load(x + at);
      const Float du = Load(dy + at) * Slope<A>(lanes.Normalised(value), lanes.alpha) * lanes.factor;
      Store(dx + at, lanes.scale * ((du - Load(mean_du + lane)) - (value - lanes.mean) * Load(slope_du + lane)));
    }
  }
}

// What both ops have: their attributes, and the layout and the parameters of their inputs.
class BatchNormOp : public OpKernel {
 public:
  explicit BatchNormOp(OpKernelConstruction* context) : OpKernel(context) {
    std::string activation;
    OP_REQUIRES_OK(context, context->GetAttr("activation", &activation));
    activation_ = activation == "relu"    ? kRelu
                  : activation == "relu6" ? kRelu6
                  : activation == "prelu" ? kPrelu
                                          : kNone;
    int alphas;
    OP_REQUIRES_OK(context, context->GetAttr("P", &alphas));
    OP_REQUIRES(context, alphas == (activation_ == kPrelu), InvalidArgument("alpha is prelu's, which has one"));
  }

 protected:
  template <typename Act>
  void Activate(Act act) {
    switch (activation_) {
      case kNone: return act(std::integral_constant<Activation, kNone>());
      case kRelu: return act(std::integral_constant<Activation, kRelu>());
      case kRelu6: return act(std::integral_constant<Activation, kRelu6>());
      case kPrelu: return act(std::integral_constant<Activation, kPrelu>());
    }
  }

  static Layout LayoutOf(const Tensor& x, int64_t images = 1) {
    const int64_t channels = x.dim_size(x.dims() - 1);
    return Layout(images, x.NumElements() / channels / images, channels);
  }

  // With factors every image has parameters of its own.
  static Layout LayoutOf(const Tensor& x, const tensorflow::OpInputList& factors) {
    return LayoutOf(x, factors.size() ? std::max(x.dim_size(0), int64_t{1}) : 1);
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

  static Status CheckFactors(const Tensor& x, const tensorflow::OpInputList& factors) {
    for (const Tensor& each : factors) {
      const int64_t images = x.dim_size(0), channels = x.dim_size(x.dims() - 1);
      if (each.NumElements() != images * channels || each.dim_size(each.dims() - 1) != channels) {
        return InvalidArgument("factors are ", each.shape().DebugString(), " of features ", x.shape().DebugString());
      }
    }
    return tensorflow::OkStatus();
  }

  static Parameters ParametersOf(const Layout& layout, const Tensor& gamma, const Tensor& beta, const float* mean,
                                 const float* inverse, const tensorflow::OpInputList& alpha,
                                 const tensorflow::OpInputList& factors) {
    std::vector<float> scale(layout.channels);
    for (int64_t i = 0; i < layout.channels; ++i) scale[i] = gamma.flat<float>()(i) * inverse[i];
    Parameters found = {layout.Repeat(mean), layout.Repeat(scale.data()), layout.Repeat(beta.flat<float>().data())};
    if (alpha.size()) found.alpha = layout.Repeat(alpha[0].flat<float>().data());
    for (int64_t i = 0; i < layout.images && layout.rows && factors.size(); ++i) {
      found.factors.push_back(layout.Repeat(factors[0].flat<float>().data() + i * layout.channels));
    }
    return found;
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
    tensorflow::OpInputList statistics, added, alpha, factors;
    OP_REQUIRES_OK(context, context->input_list("statistics", &statistics));
    OP_REQUIRES_OK(context, context->input_list("added", &added));
    OP_REQUIRES_OK(context, context->input_list("alpha", &alpha));
    OP_REQUIRES_OK(context, context->input_list("factors", &factors));
    std::vector<const Tensor*> vectors = {&gamma, &beta}, features;
    for (const Tensor& each : statistics) vectors.push_back(&each);
    for (const Tensor& each : alpha) vectors.push_back(&each);
    for (const Tensor& each : added) features.push_back(&each);
    OP_REQUIRES_OK(context, Check(x, vectors, features));
    OP_REQUIRES_OK(context, CheckFactors(x, factors));
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
    if (!layout.rows) return;
    const Layout by_image = LayoutOf(x, factors);
    const Parameters with = ParametersOf(by_image, gamma, beta, mean->flat<float>().data(),
                                         inverse->flat<float>().data(), alpha, factors);
    Write(context, by_image, with, x, added.size() ? &added[0] : nullptr, y);
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
    Partial partial(layout, 2);
    InChunks(context, layout, [&](const Chunk& chunk) {
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
      DEEPLAB_ROWS(layout, chunk.begin, chunk.end, few, one)
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

  void Write(OpKernelContext* context, const Layout& layout, const Parameters& with, const Tensor& x,
             const Tensor* added, Tensor* y) {
    Activate([&](auto activation) {
      InChunks(context, layout, [&](const Chunk& chunk) {
        const int64_t image = layout.Begin(chunk.image);
        const T* features = x.flat<T>().data() + image;
        const T* others = added ? added->flat<T>().data() + image : nullptr;
        T* outputs = y->flat<T>().data() + image;
        Reader<T> from(features, layout, T(0)), other(others, layout, T(0));
        Writer<T> to(outputs, layout);
        const auto few = [&](int64_t row) {
          const int64_t at = row * layout.width;
          Apply<T, 4, activation()>(layout, with, chunk.image, features + at, others ? others + at : nullptr,
                                    outputs + at);
        };
        const auto one = [&](int64_t row) {
          Apply<T, 1, activation()>(layout, with, chunk.image, from.Row(row), others ? other.Row(row) : nullptr,
                                    to.Row(row));
          to.Done(row);
        };
        DEEPLAB_ROWS(layout, chunk.begin, chunk.end, few, one)
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
    tensorflow::OpInputList beside, alpha, factors;
    OP_REQUIRES_OK(context, context->input_list("beside", &beside));
    OP_REQUIRES_OK(context, context->input_list("alpha", &alpha));
    OP_REQUIRES_OK(context, context->input_list("factors", &factors));
    std::vector<const Tensor*> vectors = {&gamma, &beta, &mean, &inverse}, features = {&dy};
    for (const Tensor& each : alpha) vectors.push_back(&each);
    for (const Tensor& each : beside) features.push_back(&each);
    OP_REQUIRES_OK(context, Check(x, vectors, features));
    OP_REQUIRES_OK(context, CheckFactors(x, factors));
    Tensor *dx, *dgamma, *dbeta, *dz = nullptr, *dalpha = nullptr;
    if (beside.size()) {  // what is added has a gradient as well
      OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 3, x.shape(), &dz));
      OP_REQUIRES_OK(context, context->allocate_output(0, x.shape(), &dx));
    } else {
      OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 0, x.shape(), &dx));
    }
    OP_REQUIRES_OK(context, context->allocate_output(1, gamma.shape(), &dgamma));
    OP_REQUIRES_OK(context, context->allocate_output(2, gamma.shape(), &dbeta));
    if (alpha.size()) OP_REQUIRES_OK(context, context->allocate_output(3 + beside.size(), gamma.shape(), &dalpha));
    const Layout layout = LayoutOf(x, factors);
    const float* inverses = inverse.flat<float>().data();
    const Parameters with =
        ParametersOf(layout, gamma, beta, mean.flat<float>().data(), inverses, alpha, factors);
    const std::vector<double> total = Sum(context, layout, with, dy, x, beside.size() ? &beside[0] : nullptr, dz);
    std::vector<float> mean_du(layout.channels), slope_du(layout.channels);
    const double rows = layout.images * layout.rows;
    for (int64_t i = 0; i < layout.channels; ++i) {
      const double products = total[layout.channels + i], inverse_i = inverses[i];
      dbeta->flat<float>()(i) = total[i];
      dgamma->flat<float>()(i) = layout.rows ? products * inverse_i : 0.0;  // without rows the inverse is NaN
      if (dalpha) dalpha->flat<float>()(i) = total[2 * layout.channels + i];
      if (training_) {
        mean_du[i] = total[i] / rows;
        slope_du[i] = products * inverse_i * inverse_i / rows;
      }
    }
    if (layout.rows) Write(context, layout, with, mean_du, slope_du, dz ? *dz : dy, x, dz != nullptr, dx);
  }

 private:
  std::vector<double> Sum(OpKernelContext* context, const Layout& layout, const Parameters& with, const Tensor& dy,
                          const Tensor& x, const Tensor* beside, Tensor* dz) {
    Partial partial(layout, activation_ == kPrelu ? 3 : 2);
    Activate([&](auto activation) {
      InChunks(context, layout, [&](const Chunk& chunk) {
        Sums sums = partial.Of(chunk);
        const int64_t image = layout.Begin(chunk.image);
        const T *gradients = dy.flat<T>().data() + image, *features = x.flat<T>().data() + image;
        const T* others = beside ? beside->flat<T>().data() + image : nullptr;
        T* masked = dz ? dz->flat<T>().data() + image : nullptr;
        // A last row's gradients end in zeros, beside features that are finite.
        Reader<T> from(gradients, layout, T(0)), feature(features, layout, T(0)), other(others, layout, T(0));
        Writer<T> to(masked, layout);
        const auto few = [&](int64_t row) {
          const int64_t at = row * layout.width;
          SumGradients<T, 4, activation()>(layout, with, chunk.image, gradients + at, features + at,
                                           beside ? others + at : nullptr, dz ? masked + at : nullptr, &sums);
        };
        const auto one = [&](int64_t row) {
          SumGradients<T, 1, activation()>(layout, with, chunk.image, from.Row(row), feature.Row(row),
                                           beside ? other.Row(row) : nullptr, dz ? to.Row(row) : nullptr, &sums);
          if (dz) to.Done(row);
        };
        DEEPLAB_ROWS(layout, chunk.begin, chunk.end, few, one)
        sums.Flush();
      });
    });
    return partial.Total();
  }

  void Write(OpKernelContext* context, const Layout& layout, const Parameters& with, const std::vector<float>& mean_du,
             const std::vector<float>& slope_du, const Tensor& dy, const Tensor& x, bool masked, Tensor* dx) {
    const std::vector<float> means = layout.Repeat(mean_du.data()), slopes = layout.Repeat(slope_du.data());
    const auto write = [&](auto activation) {
      InChunks(context, layout, [&](const Chunk& chunk) {
        const int64_t image = layout.Begin(chunk.image);
        const T *gradients = dy.flat<T>().data() + image, *features = x.flat<T>().data() + image;
        T* outputs = dx->flat<T>().data() + image;
        Reader<T> from(gradients, layout, T(0)), feature(features, layout, T(0));
        Writer<T> to(outputs, layout);
        const auto few = [&](int64_t row) {
          const int64_t at = row * layout.width;
          ApplyGradients<T, 4, activation()>(layout, with, chunk.image, means.data(), slopes.data(), gradients + at,
                                             features + at, outputs + at);
        };
        const auto one = [&](int64_t row) {
          ApplyGradients<T, 1, activation()>(layout, with, chunk.image, means.data(), slopes.data(), from.Row(row),
                                             feature.Row(row), to.Row(row));
          to.Done(row);
        };
        DEEPLAB_ROWS(layout, chunk.begin, chunk.end, few, one)
      });
    };
    masked ? write(std::integral_constant<Activation, kNone>()) : Activate(write);
  }

  bool training_;
};

// The shapes of outputs: f is that of the features, v that of a vector of their channels.
Status Shapes(InferenceContext* context, int features, int vector, const std::string& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    context->set_output(i, context->input(outputs[i] == 'f' ? features : vector));
  }
  return tensorflow::OkStatus();
}

REGISTER_OP("DeeplabBatchNorm")
    .Input("x: T")
    .Input("gamma: float")
    .Input("beta: float")
    .Input("statistics: S * float")
    .Input("added: R * T")
    .Input("alpha: P * float")
    .Input("factors: F * float")
    .Output("y: T")
    .Output("mean: float")
    .Output("variance: float")
    .Output("inverse: float")
    .Attr("T: {float, bfloat16}")
    .Attr("S: int >= 0")
    .Attr("R: int >= 0")
    .Attr("P: int >= 0")
    .Attr("F: int >= 0")
    .Attr("activation: {'none', 'relu', 'relu6', 'prelu'}")
    .Attr("epsilon: float")
    .SetShapeFn([](InferenceContext* context) { return Shapes(context, 0, 1, "fvvv"); });

REGISTER_OP("DeeplabBatchNormGrad")
    .Input("dy: T")
    .Input("x: T")
    .Input("gamma: float")
    .Input("beta: float")
    .Input("mean: float")
    .Input("inverse: float")
    .Input("beside: R * T")
    .Input("alpha: P * float")
    .Input("factors: F * float")
    .Output("dx: T")
    .Output("dgamma: float")
    .Output("dbeta: float")
    .Output("dadded: R * T")
    .Output("dalpha: P * float")
    .Attr("T: {float, bfloat16}")
    .Attr("R: int >= 0")
    .Attr("P: int >= 0")
    .Attr("F: int >= 0")
    .Attr("activation: {'none', 'relu', 'relu6', 'prelu'}")
    .Attr("training: bool")
    .SetShapeFn([](InferenceContext* context) {
      int added, alphas;
      TF_RETURN_IF_ERROR(context->GetAttr("R", &added));
      TF_RETURN_IF_ERROR(context->GetAttr("P", &alphas));
      return Shapes(context, 1, 2, "fvv" + std::string(added, 'f') + std::string(alphas, 'v'));
    });

#define DEEPLAB_REGISTER(T)                                                                                        \
  REGISTER_KERNEL_BUILDER(                                                                                         \
      Name("DeeplabBatchNorm").Device(tensorflow::DEVICE_CPU).TypeConstraint<T>("T"), Forward<T>);                 \
  REGISTER_KERNEL_BUILDER(                                                                                         \
      Name("DeeplabBatchNormGrad").Device(tensorflow::DEVICE_CPU).TypeConstraint<T>("T"), Backward<T>)
DEEPLAB_REGISTER(float);
DEEPLAB_REGISTER(Eigen::bfloat16);

}  // namespace deeplab
