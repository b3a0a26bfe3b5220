#include "sluice/generate/draft.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <span>

#include "sluice/base/error.h"
#include "sluice/nn/head.h"
#include "sluice/parallel/apply.h"

namespace sluice::generate {
namespace {

at::Tensor tensor_of(std::span<const std::int32_t> ids) { return at::tensor(std::vector<std::int64_t>(ids.begin(), ids.end()), at::kLong); }

nn::ForwardContext context_of(const models::Model& model, std::int64_t tokens, nn::KvCache& cache) {
  return {{1, tokens, {}, {}, {}}, model.seams(), nn::Mode::kInference, 0, &cache};
}

// A delta net's state cannot be cut back to fewer tokens, as keys and values can.
bool is_recurrent(const nn::KvCache& cache) {
  return std::ranges::any_of(cache.layers, [](const nn::LayerCache& layer) { return layer.state.defined(); });
}

// The predictor's guesses. Its block has attention, and the cache's place behind the model's layers.
class Predictor {
 public:
  Predictor(const models::Model& model, const nn::KvCache& of_model) : model_(model) {
    const auto with_keys = std::ranges::find_if(of_model.layers, [](const nn::LayerCache& layer) { return layer.keys.defined(); });
    SLUICE_CHECK(with_keys != of_model.layers.end(), "no layer with attention says how large a cache the predictor needs");
    cache_.layers.resize(of_model.layers.size());
    cache_.layers.push_back({at::empty_like(with_keys->keys), at::empty_like(with_keys->values), {}, {}});
  }

  // Reads on: `hidden` [tokens, hidden] holds the model's final states from position `first` on, and `ids` all tokens up to the one behind
  // the last of them. Returns the logits [vocab] of the token after that one.
  at::Tensor guess(const at::Tensor& hidden, std::int64_t first, std::span<const std::int32_t> ids) {
    const std::int64_t begin = cache_.length, end = first + hidden.size(0);
    const at::Tensor next_ids = tensor_of(ids.subspan(static_cast<std::size_t>(begin + 1), static_cast<std::size_t>(end - begin)));
    const nn::ForwardContext context = context_of(model_, end - begin, cache_);
    const at::Tensor out = model_.multi_token_predictor()->forward(hidden.narrow(0, begin - first, end - begin), next_ids, context).hidden;
    cache_.length = end;
    return nn::head_logits(out.narrow(0, end - begin - 1, 1).contiguous(), model_.head())[0].contiguous();
  }

 private:
  const models::Model& model_;
  nn::KvCache cache_;
};

class DraftedText {
 public:
  DraftedText(const Runnable& runnable, const std::vector<std::int32_t>& prompt, std::size_t row, const GenerateOptions& options,
              const OnToken& on_token)
      : model_(runnable.model),
        options_(options),
        on_token_(on_token),
        row_(row),
        prompt_size_(prompt.size()),
        ids_(prompt),
        unread_(prompt),
        rng_(options.seed, options.first_index + row),
        cache_(model_.make_cache(1, static_cast<std::int64_t>(prompt.size()) + options.max_tokens)),
        recurrent_(is_recurrent(cache_)),
        predictor_(model_, cache_) {}

  std::vector<std::int32_t> run() {
    read_on();
    while (!ended_) {
      if (unread_.size() == 1 && num_left() > 1)
        check_a_guess();
      else
        read_on();
    }
    return {ids_.begin() + static_cast<std::ptrdiff_t>(prompt_size_), ids_.end()};
  }

 private:
  // One pass over `ids`, the cache's next tokens.
  void read(const std::vector<std::int32_t>& ids) {
    first_ = cache_.length;
    const auto count = static_cast<std::int64_t>(ids.size());
    hidden_ = parallel::forward(model_, tensor_of(ids), context_of(model_, count, cache_), parallel::Recompute::kNone).hidden;
    cache_.length += count;
    unread_.clear();
  }

  void read_on() {
    read(unread_);
    take(following(last_hidden()).draw(rng_));
  }

  // Reads the unread token and behind it a guess, which is taken or replaced.
  void check_a_guess() {
    const Distribution guesses = distribution(predictor_.guess(hidden_, first_, ids_));
    const std::int32_t token = unread_[0], guess = guesses.draw(rng_);
    const nn::KvCache before = cache_;  // the same keys and values, whose later places do not count; the states, which passes replace
    read({token, guess});
    const Distribution wanted = following(hidden_.narrow(0, 0, 1));
    const bool taken = takes(wanted, guesses, guess, rng_);
    if (options_.draft_counts)
      *options_.draft_counts = {options_.draft_counts->guessed + 1, options_.draft_counts->taken + (taken ? 1 : 0)};
    if (taken) {
      const at::Tensor behind = last_hidden();
      take(guess);
      unread_.clear();
      if (!ended_) take(following(behind).draw(rng_));
      return;
    }
    hidden_ = hidden_.narrow(0, 0, 1);
    cache_.length = before.length + 1;
    if (recurrent_) {  // its states have seen the guess: back to those before the token too, which is read again
      cache_ = before;
      unread_ = {token};
    }
    take(wanted.draw_beyond(guesses, rng_));
  }

  at::Tensor last_hidden() const { return hidden_.narrow(0, hidden_.size(0) - 1, 1); }

  // What may follow all tokens so far.   hidden [1, hidden]: the state at the last of them
  Distribution following(const at::Tensor& hidden) const {
    return distribution(nn::head_logits(hidden.contiguous(), model_.head())[0].contiguous());
  }

  Distribution distribution(const at::Tensor& logits) const {
    const std::span<float> values(logits.data_ptr<float>(), static_cast<std::size_t>(logits.numel()));
    penalize_repetition(values, ids_, options_.sampling.repetition_penalty);
    return Distribution(values, options_.sampling);
  }

  void take(std::int32_t id) {
    ids_.push_back(id);
    unread_.push_back(id);
    const Next next = on_token_ ? on_token_(row_, id) : Next::kGoOn;
    ended_ = next == Next::kEnd || num_left() == 0 || std::ranges::find(options_.stop_ids, id) != options_.stop_ids.end();
  }

  std::int64_t num_left() const { return options_.max_tokens - static_cast<std::int64_t>(ids_.size() - prompt_size_); }

  const models::Model& model_;
  const GenerateOptions& options_;
  const OnToken& on_token_;
  const std::size_t row_, prompt_size_;
  std::vector<std::int32_t> ids_;     // prompt and new tokens
  std::vector<std::int32_t> unread_;  // the last of ids_, which are not in the cache yet
  Rng rng_;
  nn::KvCache cache_;
  bool recurrent_, ended_ = false;
  Predictor predictor_;
  at::Tensor hidden_;  // [tokens, hidden]: the final states of the last pass, from position first_ on, of tokens that stay
  std::int64_t first_ = 0;
};

}  // namespace

std::vector<std::int32_t> generate_with_predictor(const Runnable& runnable, const std::vector<std::int32_t>& prompt, std::size_t row,
                                                  const GenerateOptions& options, const OnToken& on_token) {
  return DraftedText(runnable, prompt, row, options, on_token).run();
}

}  // namespace sluice::generate
