// One rank of a run: what each does along with the others, step by step, when the leader says so (command.h).
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "sluice/train/bad_step.h"
#include "sluice/train/rank_log.h"
#include "sluice/train/saving.h"
#include "sluice/train/session.h"

namespace sluice::train {

struct TakenStep {
  std::int64_t number = 0;
  StepResult result;
  double learning_rate = 0;
  Judgement judgement = Judgement::kGood;
};

// All ranks call the same of these at the same time, and get the same.
class Worker {
 public:
  // As Session's.
  Worker(const ResolvedRecipe& resolved, SessionData data, const dist::Mesh& mesh, Log& log);

  // Each rank's own log, RUN/logs/rank-NNNNN.txt, where log.rank_files asks for it. The run folder is there.
  void open_log();
  void resume(const fs::path& step_folder);

  // The next step, with its update where the gradient is good. A bad step is over like any other, but for the update; one after which the run
  // stops was not taken: progress is as before.
  TakenStep step();
  std::string what_is_bad(const TakenStep& taken) const;  // of one that is not good
  // After a step: where replicas are due to be compared and differ, what find_disagreement() says; else nothing.
  std::string compare_replicas() const;
  // Weights and optimizer as in `step_folder` (the leader's), at the step that the run has come to.
  void roll_back(const fs::path& step_folder);

  using Extra = std::function<void(const fs::path& folder)>;
  // Begins to save the present state (saving.h); not while another save is under way. The leader gives what it adds to the folder.
  void save(const Extra& extra = {});
  bool is_saving() const { return saving_.has_value(); }
  // Ends the save that is under way. Returns its step.
  std::int64_t commit();
  // For the leader where others may be gone: the step of a save that all had written, now committed. Whatever was under way is over.
  std::optional<std::int64_t> commit_alone();
  // The same for a whole state that this rank has alone: nothing where others have parts of it.
  bool save_alone(const Extra& extra);

  struct Asked {
    bool stops = false;    // a signal has come to some rank
    bool written = false;  // no rank has anything left to write of the save that is under way
  };
  Asked ask(bool interrupted) const;

  void note(const std::string& line) { rank_log_.note(line); }  // to this rank's own log

  Session& session() { return *session_; }
  const Session& session() const { return *session_; }
  Progress& progress() { return progress_; }
  const Progress& progress() const { return progress_; }

 private:
  Judgement judge(const StepResult& result) const;
  void take(TakenStep& out);
  BadStep answer_to(Judgement judgement) const;

  const dist::Mesh& mesh_;
  std::unique_ptr<Session> session_;
  Progress progress_;
  std::optional<Saving> saving_;
  double slowest_step_ = 0;  // seconds
  RankLog rank_log_;
};

}  // namespace sluice::train
